import { createHash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { createProvisioningId } from "#federation/model/provisioning-token.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { sha256Hex } from "./key-pair.ts";
import { parseChainPem } from "./pem.ts";

/** What a joiner holds: where to go, whom to believe there, and the secret that works once. */
export interface JoinToken {
  /** `host:port` of each server that takes the token. */
  readonly addresses: readonly string[];
  /** Lower-case hex SHA-256 of the server's root certificate in DER. */
  readonly rootSha256: string;
  /** Names the stored record; not a secret. */
  readonly id: string;
  /** 256 bits in base64url. A secret: never log it, never store it on the server. */
  readonly secret: string;
}

/** Most addresses in one token. */
export const joinAddressesMax = 16;

/** How every token begins. */
export const joinTokenPrefix = "atoll1.";
const encodedLengthMax = 8 * 1024;

/** Makes a token with a new id and a new secret, for one use or for many. The server keeps `id` and `hashJoinSecret(secret)` only. */
export function createJoinToken(addresses: readonly string[], rootSha256: string, uses: "one" | "many" = "one"): JoinToken {
  const uuid = randomUUID();
  return checkToken({ addresses, rootSha256, id: uses === "many" ? createProvisioningId(uuid) : uuid, secret: randomBytes(32).toString("base64url") });
}

/** Makes tokens that lead to one address, whose server's root is in `rootPem`; the text is shown once, the rest is for the record. */
export function createTokenMint(address: string, rootPem: string): (uses: "one" | "many") => { readonly id: string; readonly secret: Uint8Array; readonly text: string } {
  const [root = new Uint8Array()] = parseChainPem(rootPem);
  const rootSha256 = sha256Hex(root);
  return (uses) => {
    const token = createJoinToken([address], rootSha256, uses);
    return { id: token.id, secret: Buffer.from(token.secret, "base64url"), text: encodeJoinToken(token) };
  };
}

/** The token as one opaque string, `atoll1.…`. */
export function encodeJoinToken(token: JoinToken): string {
  return joinTokenPrefix + Buffer.from(JSON.stringify(token), "utf8").toString("base64url");
}

/** Reads a token that somebody pasted: blanks around it are dropped. @throws {ATOLL_JOIN_TOKEN_INVALID} without saying what it held. */
export function decodeJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(joinTokenPrefix) || trimmed.length > encodedLengthMax) throw invalid("a join token begins with atoll1.");
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(trimmed.slice(joinTokenPrefix.length), "base64url").toString("utf8"));
  } catch {
    // Without the cause: a JSON error quotes its input, and the input holds the secret.
    throw invalid("the join token is damaged");
  }
  return checkToken(value);
}

function checkToken(value: unknown): JoinToken {
  if (typeof value !== "object" || value === null) throw invalid("the join token is damaged");
  const { addresses, rootSha256, id, secret } = value as Readonly<Record<string, unknown>>;
  if (!Array.isArray(addresses) || addresses.length === 0 || addresses.length > joinAddressesMax || !addresses.every(isAddress)) {
    throw invalid(`a join token has 1 to ${joinAddressesMax} addresses, each host:port`);
  }
  if (typeof rootSha256 !== "string" || !/^[0-9a-f]{64}$/.test(rootSha256)) throw invalid("the join token has no root to pin");
  if (typeof id !== "string" || !/^[A-Za-z0-9-]{1,64}$/.test(id)) throw invalid("the join token has no id");
  if (typeof secret !== "string" || !/^[A-Za-z0-9_-]{43}$/.test(secret)) throw invalid("the join token has no secret");
  return { addresses, rootSha256, id, secret };
}

function isAddress(value: unknown): value is string {
  return typeof value === "string" && parseAddress(value) !== undefined;
}

/** `host:port` or `[IPv6]:port`, taken apart; undefined when it is neither. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** How a secret is kept: hex SHA-256. A slow hash adds nothing to 256 random bits. */
export function hashJoinSecret(secret: string): string {
  return createHash("sha256").update(secret, "utf8").digest("hex");
}

/** Whether `secret` is the one behind `hash`, in time that does not depend on where they differ. */
export function isJoinSecret(secret: string, hash: string): boolean {
  const expected = Buffer.from(hash, "hex");
  const actual = Buffer.from(hashJoinSecret(secret), "hex");
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_JOIN_TOKEN_INVALID", message);
}
