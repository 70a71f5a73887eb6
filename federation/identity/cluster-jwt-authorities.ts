import { AtollError } from "#federation/runtime/errors.ts";
import type { JwtAuthority } from "#federation/model/trust-bundle.ts";
import { jwtAuthorityOf } from "./jwt-svid.ts";
import { parsePublicKey } from "./key-pair.ts";

/** A key by which a cluster signs JWT-SVIDs, or did. */
export interface ClusterJwtAuthority extends JwtAuthority {
  /** Wall-clock ms after which no token by it can hold; absent of one that signs, or will. */
  readonly untilMs?: number;
}

/** Keys of one cluster: the present, the next, those that have signed lately, and the same of other replicas of its plane. */
export const clusterJwtAuthoritiesMax = 16;

/** The value of a signed object of kind `JwtAuthorities`. Key ids follow from the keys, so that no two clusters can mean different keys by one. */
export function encodeClusterJwtAuthorities(authorities: readonly ClusterJwtAuthority[]): Uint8Array {
  const keys = authorities.map(({ publicKey, untilMs }) => ({ publicKey: Buffer.from(publicKey).toString("base64"), ...(untilMs === undefined ? {} : { untilMs }) }));
  return Buffer.from(JSON.stringify({ keys }));
}

/** Reads such a value; fields of later versions are passed over. @throws {ATOLL_BUNDLE_INVALID} */
export function parseClusterJwtAuthorities(bytes: Uint8Array): readonly ClusterJwtAuthority[] {
  const keys = keysOf(bytes);
  if (keys.length > clusterJwtAuthoritiesMax) throw invalid(`a cluster has at most ${clusterJwtAuthoritiesMax} JWT authorities`);
  return keys.map(authorityOf);
}

function keysOf(bytes: Uint8Array): readonly unknown[] {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString("utf8")) as { readonly keys?: unknown } | null;
    if (Array.isArray(value?.keys)) return value.keys as readonly unknown[];
  } catch {
    // Not JSON: said below.
  }
  throw invalid("the JWT authorities of a cluster are a list of keys");
}

function authorityOf(key: unknown): ClusterJwtAuthority {
  const { publicKey, untilMs } = (key ?? {}) as { readonly publicKey?: unknown; readonly untilMs?: unknown };
  if (typeof publicKey !== "string") throw invalid("a JWT authority has a public key");
  if (untilMs !== undefined && (typeof untilMs !== "number" || !Number.isSafeInteger(untilMs) || untilMs < 0)) throw invalid("the end of a JWT authority is no time");
  try {
    return { ...jwtAuthorityOf(parsePublicKey(Buffer.from(publicKey, "base64"))), ...(untilMs === undefined ? {} : { untilMs }) };
  } catch (cause) {
    throw new AtollError("ATOLL_BUNDLE_INVALID", "a JWT authority is not a P-256 key", { cause });
  }
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_BUNDLE_INVALID", message);
}
