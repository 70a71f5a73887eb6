import { readFileSync } from "node:fs";
import type { MethodDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { AtollError } from "#federation/runtime/errors.ts";
import { installedFile } from "#federation/runtime/installation.ts";
import { messageCodec } from "./schema.ts";

// The X.509-SVID profile of the SPIFFE Workload API. Only who serves it, or speaks it, loads this file and its schema.

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

/** Largest request, in bytes: none of the profile has a field yet. */
export const workloadRequestBytesMax = 4 * 1024;

/** Largest answer, in bytes: what gRPC's clients read unless told otherwise. */
export const workloadResponseBytesMax = 4 * 1024 * 1024;

const root = protobuf.parse(readFileSync(installedFile("federation/wire/proto/spiffe-workload.proto"), "utf8"), new protobuf.Root()).root;
root.resolveAll();

/** Encodes with the same bytes for the same content, as long as maps are given in the same order. */
export const x509SvidResponseCodec = messageCodec<X509SvidResponse>("X509SVIDResponse", workloadResponseBytesMax, root);
export const x509BundlesResponseCodec = messageCodec<X509BundlesResponse>("X509BundlesResponse", workloadResponseBytesMax, root);

/**
 * The server's side: answers are encoded already, once for everybody who asks. The methods of the JWT-SVID profile are there to be refused as
 * the standard has it, their messages unread.
 */
export const spiffeWorkloadService = {
  fetchX509Svid: served("FetchX509SVID", "stream"),
  fetchX509Bundles: served("FetchX509Bundles", "stream"),
  fetchJwtSvid: served("FetchJWTSVID", "unary"),
  fetchJwtBundles: served("FetchJWTBundles", "stream"),
  validateJwtSvid: served("ValidateJWTSVID", "unary"),
} as const;

/** The client's side of `spiffeWorkloadService`. */
export const spiffeWorkloadClientMethods = {
  fetchX509Svid: called("FetchX509SVID", x509SvidResponseCodec.decode),
  fetchX509Bundles: called("FetchX509Bundles", x509BundlesResponseCodec.decode),
} as const;

function served(name: string, answers: "stream" | "unary"): MethodDefinition<Uint8Array, Uint8Array> {
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    requestStream: false,
    responseStream: answers === "stream",
    requestSerialize: notOnThisSide,
    // Requests of the profile have no fields; what later versions add is skipped, as protobuf does.
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    responseDeserialize: notOnThisSide,
  };
}

function called<Response>(name: string, decode: (bytes: Uint8Array) => Response): MethodDefinition<Record<string, never>, Response> {
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    requestStream: false,
    responseStream: true,
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: notOnThisSide,
    responseSerialize: notOnThisSide,
    responseDeserialize: decode,
  };
}

function notOnThisSide(): never {
  throw new AtollError("ATOLL_WIRE_INVALID", "this message of the Workload API is written and read by the other side");
}
