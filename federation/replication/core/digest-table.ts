import { bucketCount, digestsBytes } from "#federation/model/replication-messages.ts";
import type { SignedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";

/** 64 bits, as two halves with a sign: high, low. V8 keeps whole numbers of 32 bits where they stand, and boxes those without a sign. */
export type Hash = readonly [number, number];

/** The bucket of an object id: the same on both sides, and even over any set of ids. */
export function bucketOf(id: string): number {
  // A remainder of a large number is boxed, too, unless it is said to be of 32 bits.
  return ((textHash(id)[0] >>> 0) % bucketCount) | 0;
}

/** Of the exact bytes that an origin signed, which hold its id and generation; not of the signature, so that a renewed signing key changes nothing. O(bytes), some 3 µs for 1 KB: taken once for an object. */
export function contentHash({ payload }: SignedObject): Hash {
  return hash(payload);
}

/** True when both are of the same bytes, as far as 64 bits can tell. */
export function isSameHash(a: Hash, b: Hash): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** What one object adds to the digests of its bucket. */
export interface DigestedObject {
  readonly bucket: number;
  readonly generation: Generation;
  readonly content: Hash;
}

/** Both digests of a set of objects: by generation, which every version of Atoll compares, and by content, which says more. */
export class ObjectDigests {
  readonly generations = new DigestTable();
  readonly contents = new DigestTable();

  /** Adds the object, or removes it when it is in. */
  toggle(id: string, { bucket, generation, content }: DigestedObject): void {
    this.generations.toggle(bucket, textHash(`${id}\0${generation.epoch}\0${generation.revision}`));
    this.contents.toggle(bucket, content);
  }

  /** The buckets that are not as another side says, ascending; by content where it says that. */
  differing({ digests, contentDigests }: { readonly digests: Uint8Array; readonly contentDigests?: Uint8Array | undefined }): readonly number[] {
    return contentDigests === undefined ? this.generations.differing(digests) : this.contents.differing(contentDigests);
  }

  /** As messages carry them; those of `asked` as they are not, so that whoever compares them answers with these buckets. */
  bytes(asked: Iterable<number> = []): { readonly digests: Uint8Array; readonly contentDigests: Uint8Array } {
    const said = { digests: this.generations.bytes(), contentDigests: this.contents.bytes() };
    for (const bucket of new Set(asked)) for (const bytes of Object.values(said)) bytes[bucket * 8] = 0xff ^ (bytes[bucket * 8] ?? 0);
    return said;
  }
}

/**
 * 64-bit digests of `bucketCount` sets. A digest is the exclusive or of its members' hashes, so adding and removing are the same
 * step, order does not matter, and each change costs O(1). It finds loss, not forgery: signatures do that.
 */
export class DigestTable {
  readonly #high = new Uint32Array(bucketCount);
  readonly #low = new Uint32Array(bucketCount);

  /** Adds the member, or removes it when it is in. */
  toggle(bucket: number, [high, low]: Hash): void {
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
    const differing: number[] = [];
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      if (this.#high[bucket] !== theirs.getUint32(bucket * 8) || this.#low[bucket] !== theirs.getUint32(bucket * 8 + 4)) differing.push(bucket);
    }
    return differing;
  }
}

/** Two 32-bit hashes over UTF-16 code units or bytes, FNV-1a's loop with MurmurHash3's finalizer. Part of the protocol: both sides must agree. */
function hash(units: Uint8Array | Uint16Array, length = units.length): Hash {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let index = 0; index < length; index++) {
    const unit = units[index] ?? 0;
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 15);
  }
  return [finalized(a ^ (b >>> 7)), finalized(b)];
}

/** For one text after the other: a plane that starts hashes two for each object that it holds. */
let units = new Uint16Array(1_024);

function textHash(text: string): Hash {
  if (text.length > units.length) units = new Uint16Array(text.length);
  for (let index = 0; index < text.length; index++) units[index] = text.charCodeAt(index);
  return hash(units, text.length);
}

/** @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp `fmix32` */
function finalized(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
