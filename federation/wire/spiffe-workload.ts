import { readFileSync } from "node:fs";
import type { MethodDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { AtollError } from "#federation/runtime/errors.ts";
import { installedFile } from "#federation/runtime/installation.ts";
import { messageCodec } from "./schema.ts";

// The SPIFFE Workload API. Only who serves it, or speaks it, loads this file and its schema.

/** One identity of a workload, ready to be used. A secret: it holds the private key. */
export interface X509SvidEntry {
  /** `spiffe://<trust domain>/<path>`. */
  readonly spiffeId: string;
  /** DER certificates one after the other, leaf first, without the root. */
  readonly x509Svid: Uint8Array;
  /** PKCS#8 DER. */
  readonly x509SvidKey: Uint8Array;
  /** The roots of the SVID's own trust domain, DER, one after the other. */
  readonly bundle: Uint8Array;
  /** What it is for, where there are several. */
  readonly hint: string;
}

/** Roots, DER and one after the other, by `spiffe://<trust domain>`. */
export type BundleMap = Readonly<Record<string, Uint8Array>>;

/** The whole of what FetchX509SVID tells; each message replaces the one before. */
export interface X509SvidResponse {
  readonly svids: readonly X509SvidEntry[];
  /** Revocation lists, DER. */
  readonly crl: readonly Uint8Array[];
  /** Never one's own. */
  readonly federatedBundles: BundleMap;
}

/** The whole of what FetchX509Bundles tells; each message replaces the one before. */
export interface X509BundlesResponse {
  readonly crl: readonly Uint8Array[];
  /** One's own among them. */
  readonly bundles: BundleMap;
}

/** Which JWT-SVIDs an application asks for. */
export interface JwtSvidRequest {
  readonly audience: readonly string[];
  /** Empty: whichever there are. */
  readonly spiffeId: string;
}

/** JWT-SVIDs: secrets. */
export interface JwtSvidResponse {
  readonly svids: readonly { readonly spiffeId: string; readonly svid: string; readonly hint: string }[];
}

/** The whole of what FetchJWTBundles tells; each message replaces the one before. */
export interface JwtBundlesResponse {
  /** JWKS documents, one's own among them. */
  readonly bundles: BundleMap;
}

/** A token that an application was shown, and as whom it takes it. */
export interface ValidateJwtSvidRequest {
  readonly audience: string;
  readonly svid: string;
}

/** Who a token proves its bearer to be. */
export interface ValidateJwtSvidResponse {
  readonly spiffeId: string;
  readonly claims: StructFields | null;
}

/** google.protobuf.Struct, as protobufjs has it. */
export interface StructFields {
  readonly fields: Readonly<Record<string, StructValue>>;
}
type StructValue =
  | { readonly nullValue: 0 }
  | { readonly boolValue: boolean }
  | { readonly numberValue: number }
  | { readonly stringValue: string }
  | { readonly listValue: { readonly values: readonly StructValue[] } }
  | { readonly structValue: StructFields };

/** Largest request, in bytes: a token of the longest with an audience. */
export const workloadRequestBytesMax = 32 * 1024;

/** Claims within claims; deeper ones are refused. */
const claimDepthMax = 32;

/** Claims, which are of JSON's types, as the API has them. @throws {ATOLL_WIRE_TOO_LARGE} for those within more than `claimDepthMax` others. */
export function structOf(fields: Readonly<Record<string, unknown>>, depth = 0): StructFields {
  return { fields: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, structValueOf(value, depth + 1)])) };
}

function structValueOf(value: unknown, depth: number): StructValue {
  if (depth > claimDepthMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `claims within more than ${claimDepthMax} others`);
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map((item: unknown) => structValueOf(item, depth + 1)) } };
  return value === null || typeof value !== "object" ? { nullValue: 0 } : { structValue: structOf(value as Readonly<Record<string, unknown>>, depth) };
}

/** Largest answer, in bytes: what gRPC's clients read unless told otherwise. */
export const workloadResponseBytesMax = 4 * 1024 * 1024;

const root = protobuf.parse(readFileSync(installedFile("federation/wire/proto/spiffe-workload.proto"), "utf8"), new protobuf.Root()).root;
root.addJSON(protobuf.common.get("google/protobuf/struct.proto")?.nested ?? {});
root.resolveAll();

/** Encodes with the same bytes for the same content, as long as maps are given in the same order. */
export const x509SvidResponseCodec = messageCodec<X509SvidResponse>("X509SVIDResponse", workloadResponseBytesMax, root);
export const x509BundlesResponseCodec = messageCodec<X509BundlesResponse>("X509BundlesResponse", workloadResponseBytesMax, root);

export const jwtSvidRequestCodec = messageCodec<JwtSvidRequest>("JWTSVIDRequest", workloadRequestBytesMax, root);
export const jwtSvidResponseCodec = messageCodec<JwtSvidResponse>("JWTSVIDResponse", workloadResponseBytesMax, root);
export const jwtBundlesResponseCodec = messageCodec<JwtBundlesResponse>("JWTBundlesResponse", workloadResponseBytesMax, root);
export const validateJwtSvidRequestCodec = messageCodec<ValidateJwtSvidRequest>("ValidateJWTSVIDRequest", workloadRequestBytesMax, root);
export const validateJwtSvidResponseCodec = messageCodec<ValidateJwtSvidResponse>("ValidateJWTSVIDResponse", workloadResponseBytesMax, root);

/** The server's side: bytes both ways. What is told to many is encoded already, and a request that cannot be read is answered as the standard has it. */
export const spiffeWorkloadService = {
  fetchX509Svid: served("FetchX509SVID", "stream"),
  fetchX509Bundles: served("FetchX509Bundles", "stream"),
  fetchJwtSvid: served("FetchJWTSVID", "unary"),
  fetchJwtBundles: served("FetchJWTBundles", "stream"),
  validateJwtSvid: served("ValidateJWTSVID", "unary"),
} as const;

/** The client's side of `spiffeWorkloadService`. */
export const spiffeWorkloadClientMethods = {
  fetchX509Svid: called("FetchX509SVID", "stream", noFields, x509SvidResponseCodec.decode),
  fetchX509Bundles: called("FetchX509Bundles", "stream", noFields, x509BundlesResponseCodec.decode),
  fetchJwtSvid: called("FetchJWTSVID", "unary", jwtSvidRequestCodec.encode, jwtSvidResponseCodec.decode),
  fetchJwtBundles: called("FetchJWTBundles", "stream", noFields, jwtBundlesResponseCodec.decode),
  validateJwtSvid: called("ValidateJWTSVID", "unary", validateJwtSvidRequestCodec.encode, validateJwtSvidResponseCodec.decode),
} as const;

function served(name: string, answers: "stream" | "unary"): MethodDefinition<Uint8Array, Uint8Array> {
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    requestStream: false,
    responseStream: answers === "stream",
    requestSerialize: notOnThisSide,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    responseDeserialize: notOnThisSide,
  };
}

/** A request that says nothing. */
function noFields(_: Record<string, never>): Uint8Array {
  return new Uint8Array();
}

function called<Request, Response>(name: string, answers: "stream" | "unary", encode: (request: Request) => Uint8Array, decode: (bytes: Uint8Array) => Response): MethodDefinition<Request, Response> {
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    requestStream: false,
    responseStream: answers === "stream",
    requestSerialize: (request) => Buffer.from(encode(request)),
    requestDeserialize: notOnThisSide,
    responseSerialize: notOnThisSide,
    responseDeserialize: decode,
  };
}

function notOnThisSide(): never {
  throw new AtollError("ATOLL_WIRE_INVALID", "this message of the Workload API is written and read by the other side");
}
