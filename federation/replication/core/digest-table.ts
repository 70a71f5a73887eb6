import { bucketCount, digestsBytes } from "#federation/model/replication-messages.ts";
import type { Generation } from "#federation/model/snapshot.ts";

/** The bucket of an object id: the same on both sides, and even over any set of ids. */
export function bucketOf(id: string): number {
  return hash(id)[0] % bucketCount;
}

/**
 * 64-bit digests of `bucketCount` sets of (id, generation). A digest is the exclusive or of its members' hashes, so
 * adding and removing are the same step, order does not matter, and each change costs O(1). It finds loss, not
 * forgery: signatures do that.
 */
export class DigestTable {
  readonly #high = new Uint32Array(bucketCount);
  readonly #low = new Uint32Array(bucketCount);

  /** Adds the pair, or removes it when it is in. */
  toggle(id: string, bucket: number, generation: Generation): void {
    const [high, low] = hash(`${id}\0${generation.epoch}\0${generation.revision}`);
    this.#high[bucket] = (this.#high[bucket] ?? 0) ^ high;
    this.#low[bucket] = (this.#low[bucket] ?? 0) ^ low;
  }

  /** All digests, 8 bytes each, big-endian. */
  bytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(digestsBytes));
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      view.setUint32(bucket * 8, this.#high[bucket] ?? 0);
      view.setUint32(bucket * 8 + 4, this.#low[bucket] ?? 0);
    }
    return new Uint8Array(view.buffer);
  }

  /** The buckets whose digest is not the one in `other`, ascending. */
  differing(other: Uint8Array): readonly number[] {
    const theirs = new DataView(other.buffer, other.byteOffset, other.byteLength);
    return Array.from(this.#high.keys()).filter(
      (bucket) => this.#high[bucket] !== theirs.getUint32(bucket * 8) || this.#low[bucket] !== theirs.getUint32(bucket * 8 + 4),
    );
  }
}

/** Two 32-bit hashes over UTF-16 code units, FNV-1a's loop with MurmurHash3's finalizer. Part of the protocol: both sides must agree. */
function hash(text: string): readonly [number, number] {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 15);
  }
  return [finalized(a ^ (b >>> 7)), finalized(b)];
}

/** @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp `fmix32` */
function finalized(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
