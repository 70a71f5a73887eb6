import type { Generation } from "./snapshot.ts";

/** The origin that every resource of the global plane carries, and the publisher and receiver name of that plane. */
export const globalOrigin = "global";

/** An audience that means every cluster of the federation. */
export const everyone = "*";

/** The kind of what a cluster says of the keys by which it signs JWT-SVIDs. */
export const jwtAuthoritiesKind = "JwtAuthorities";

/** Kinds that receivers of the version before refuse. They are offered for as long as a receiver does not show that it takes them not. */
export const laterKinds: readonly string[] = [jwtAuthoritiesKind];

/** What an object says of itself; all of it is under the signature. */
export interface ObjectHeader {
  readonly federation: string;
  /** Cluster id, or `globalOrigin`. */
  readonly origin: string;
  /** The trust domain whose authority vouches for the origin: the cluster's; for the global plane the federation's. */
  readonly originTrustDomain: string;
  /** A resource kind, e.g. `ServiceExport`. */
  readonly kind: string;
  /** `namespace/name`, or `name`. */
  readonly key: string;
  /** Position in the origin's store of the write that this object states. */
  readonly generation: Generation;
  /** Trust domains, `cluster:<id>`, or `everyone`. */
  readonly audience: readonly string[];
  /** True: the origin deleted the key at `generation`; the value is empty. */
  readonly tombstone: boolean;
}

/** A header with the object itself: JSON text in UTF-8. */
export interface ObjectPayload extends ObjectHeader {
  readonly value: Uint8Array;
}

/** An object as its origin signed it: exact bytes, passed on unchanged by everybody. */
export interface SignedObject {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** DER: the signing certificate first, up to the origin's authority. */
  readonly chain: readonly Uint8Array[];
}

/** A signed object beside what its payload says. */
export interface OpenedObject {
  readonly signed: SignedObject;
  readonly payload: ObjectPayload;
}

/** Identifies an object across origins: `origin/kind/key`. */
export function objectId(header: Pick<ObjectHeader, "origin" | "kind" | "key">): string {
  return `${header.origin}/${header.kind}/${header.key}`;
}

/** Negative when `a` is older than `b`, 0 when equal. */
export function compareGenerations(a: Generation, b: Generation): number {
  return a.epoch === b.epoch ? a.revision - b.revision : a.epoch - b.epoch;
}

/** True when somebody who answers to `names` is meant by `audience`. */
export function isInAudience(audience: readonly string[], names: readonly string[]): boolean {
  return audience.some((name) => name === everyone || names.includes(name));
}

/** An upper bound of the encoded size, in bytes, without encoding. */
export function signedObjectBytes(signed: SignedObject): number {
  // A tag and a length take at most 1 + 4 bytes for fields below 256 MiB.
  return signed.chain.reduce((sum, der) => sum + der.length + 5, signed.payload.length + signed.signature.length + 10);
}
