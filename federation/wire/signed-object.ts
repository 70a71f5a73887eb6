import { createHash } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import { signP256, verifiesP256 } from "#federation/runtime/p256-signature.ts";
import { objectId, signedObjectBytes } from "#federation/model/replicated-object.ts";
import type { ObjectPayload, OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import { certificatesMax, listItemsMax, signedObjectBytesMax } from "./limits.ts";
import { boundedList, boundedText, certificateList, copied, exactNumber, messageCodec } from "./schema.ts";

/** Whose signing chain is asked about. */
export interface SigningOrigin {
  readonly federation: string;
  readonly origin: string;
  readonly trustDomain: string;
}

/**
 * Checks that `chain` ends in the pinned authority of `origin.trustDomain`, is valid now, and that its first certificate
 * is the signing certificate of exactly `origin.origin`; returns that certificate's public key, or throws a coded error.
 */
export type VerifyChain = (chain: readonly Uint8Array[], origin: SigningOrigin) => KeyObject;

/** A signing key with the chain that vouches for it. */
export interface ObjectSigner {
  readonly privateKey: KeyObject;
  /** DER: the signing certificate first, up to the authority's. */
  readonly chain: readonly Uint8Array[];
}

const objectContext = "atoll-object-v1";

/** Signs `payload` once; the result travels unchanged. @throws {ATOLL_WIRE_TOO_LARGE} above `signedObjectBytesMax`. */
export function signObject(payload: ObjectPayload, signer: ObjectSigner): OpenedObject {
  const bytes = encodeObjectPayload(payload);
  const signed: SignedObject = { payload: bytes, signature: signBytes(objectContext, bytes, signer.privateKey), chain: signer.chain };
  const size = signedObjectBytes(signed);
  if (size > signedObjectBytesMax) {
    throw new AtollError("ATOLL_WIRE_TOO_LARGE", `the object ${objectId(payload)} takes ${size} bytes, at most ${signedObjectBytesMax} can be sent`);
  }
  return { signed, payload };
}

/** Reads and verifies an object from anybody. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_SIGNATURE_INVALID} and what `verifyChain` throws. */
export function verifyObject(signed: SignedObject, verifyChain: VerifyChain): OpenedObject {
  const opened = openObject(signed);
  const { federation, origin, originTrustDomain } = opened.payload;
  const publicKey = verifyChain(signed.chain, { federation, origin, trustDomain: originTrustDomain });
  verifyBytes(objectContext, signed.payload, signed.signature, publicKey);
  return opened;
}

/** Reads an object that comes from one's own store, where only verified ones are put. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function openObject(signed: SignedObject): OpenedObject {
  return { signed, payload: decodeObjectPayload(signed.payload) };
}

/** ECDSA P-256 SHA-256 (IEEE P1363) over `context`, a zero byte, and `bytes`. */
export function signBytes(context: string, bytes: Uint8Array, privateKey: KeyObject): Uint8Array {
  return signP256(withContext(context, bytes), privateKey);
}

/** The other side of `signBytes`. @throws {ATOLL_SIGNATURE_INVALID} */
export function verifyBytes(context: string, bytes: Uint8Array, signature: Uint8Array, publicKey: KeyObject): void {
  if (!verifiesP256(withContext(context, bytes), signature, publicKey)) throw new AtollError("ATOLL_SIGNATURE_INVALID", `the signature of an ${context} does not match its content`);
}

/** SHA-256 of the exact signed bytes, hex: equal only for the same statement. */
export function payloadSha256(signed: SignedObject): string {
  return createHash("sha256").update(signed.payload).digest("hex");
}

const signedObjectCodec = messageCodec<SignedObject>("atoll.frame.v1.SignedObject", signedObjectBytesMax);

/** Bytes for the bus or a store. */
export function encodeSignedObject(signed: SignedObject): Uint8Array {
  return signedObjectCodec.encode(signed);
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeSignedObject(bytes: Uint8Array): SignedObject {
  return mapSignedObject(signedObjectCodec.decode(bytes));
}

/** The same as views of `bytes`, which the result keeps from being freed: for who looks at it and holds nothing of it. */
export function viewSignedObject(bytes: Uint8Array): SignedObject {
  return mapSignedObject(signedObjectCodec.decode(bytes), asItIs);
}

/** A signed object out of the fields of a message that holds it, of copies unless told. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function mapSignedObject(raw: SignedObject, kept: (bytes: Uint8Array) => Uint8Array = copied): SignedObject {
  const chain = certificateList(raw.chain, certificatesMax, "certificates of a signing chain", kept);
  if (chain.length === 0 || raw.payload.length === 0) {
    throw new AtollError("ATOLL_WIRE_INVALID", "a signed object lacks its payload or its chain");
  }
  return { payload: kept(raw.payload), signature: kept(raw.signature), chain };
}

function asItIs(bytes: Uint8Array): Uint8Array {
  return bytes;
}

interface RawObjectPayload {
  readonly federation: string;
  readonly origin: string;
  readonly originTrustDomain: string;
  readonly kind: string;
  readonly key: string;
  readonly epoch: number;
  readonly revision: number;
  readonly audience: readonly string[];
  readonly value: Uint8Array;
  readonly tombstone: boolean;
}

const payloadCodec = messageCodec<RawObjectPayload>("atoll.frame.v1.ObjectPayload", signedObjectBytesMax);

function encodeObjectPayload(payload: ObjectPayload): Uint8Array {
  const { generation, ...rest } = payload;
  return new Uint8Array(payloadCodec.encode({ ...rest, ...generation }));
}

function decodeObjectPayload(bytes: Uint8Array): ObjectPayload {
  const raw = payloadCodec.decode(bytes);
  // The parts of an object id are parted by slashes, so only the last one may hold any.
  if (raw.origin.includes("/") || raw.kind.includes("/")) throw new AtollError("ATOLL_WIRE_INVALID", "a slash in an object's origin or kind");
  if (raw.tombstone && raw.value.length > 0) throw new AtollError("ATOLL_WIRE_INVALID", "a tombstone with a value");
  return {
    federation: boundedText(raw.federation, "the federation of an object"),
    origin: boundedText(raw.origin, "the origin of an object"),
    originTrustDomain: boundedText(raw.originTrustDomain, "the trust domain of an object"),
    kind: boundedText(raw.kind, "the kind of an object"),
    key: boundedText(raw.key, "the key of an object"),
    generation: { epoch: exactNumber(raw.epoch, "an epoch"), revision: exactNumber(raw.revision, "a revision") },
    audience: boundedList(raw.audience, listItemsMax, "audience names").map((name) => boundedText(name, "an audience")),
    value: copied(raw.value),
    tombstone: raw.tombstone,
  };
}

function withContext(context: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${context}\0`), bytes]);
}
