import { createHash } from "node:crypto";
import type { Generation } from "#federation/model/snapshot.ts";
import { bucketCount, digestsBytes } from "#federation/wire/frames.ts";

/** The bucket of an object id: the same on both sides, even over any set of ids. */
export function bucketOf(id: string): number {
  return createHash("sha256").update(id).digest()[0] ?? 0;
}

/**
 * 64-bit digests of `bucketCount` sets of (id, generation). A digest is the exclusive or of its members' hashes, so
 * adding and removing are the same step, order does not matter, and each change costs O(1). It finds loss, not
 * forgery: signatures do that.
 */
export class DigestTable {
  readonly #buckets = new BigUint64Array(bucketCount);

  /** Adds the pair, or removes it when it is in. */
  toggle(id: string, bucket: number, generation: Generation): void {
    const hash = createHash("sha256").update(`${id}\0${generation.epoch}\0${generation.revision}`).digest();
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0n) ^ hash.readBigUInt64BE(0);
  }

  /** All digests, 8 bytes each, big-endian. */
  bytes(): Uint8Array {
    const bytes = Buffer.alloc(digestsBytes);
    this.#buckets.forEach((digest, bucket) => bytes.writeBigUInt64BE(digest, bucket * 8));
    return new Uint8Array(bytes);
  }

  /** The buckets whose digest is not the one in `other`, ascending. */
  differing(other: Uint8Array): readonly number[] {
    const theirs = Buffer.from(other.buffer, other.byteOffset, other.byteLength);
    return Array.from(this.#buckets.keys()).filter((bucket) => this.#buckets[bucket] !== theirs.readBigUInt64BE(bucket * 8));
  }
}
