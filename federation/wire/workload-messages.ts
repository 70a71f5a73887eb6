import { AtollError } from "#federation/runtime/errors.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { unreachedMax, type UnreachedCluster } from "#federation/model/unreached-cluster.ts";
import { bundleOf } from "./discovery-resources.ts";
import { certificatesMax, listItemsMax, resourceBytesMax } from "./limits.ts";
import { boundedList, boundedText, certificateList, copied, exactNumber, mapped, messageCodec } from "./schema.ts";
import type { MessageCodec } from "./schema.ts";

/** A workload's first request: its proof, and a CSR of which only the public key is taken. */
export interface JoinRequest {
  /** `atoll1.…` or `attested1.…`. */
  readonly token: string;
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
}

export interface RenewRequest {
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
}

/** A request for a JWT-SVID. */
export interface JwtRequest {
  /** For whom the token is to be; never empty. */
  readonly audience: readonly string[];
}

/** A JWT-SVID: a secret. Times are wall-clock ms of the plane. */
export interface JwtResponse {
  readonly token: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A request for the SVID after one that may have ended: possession of its key proves the caller. */
export interface KeyRenewalRequest {
  /** DER of the SVID before, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
  /** Signature of the key of the SVID before over `csr`, by `signBytes` with `keyRenewalContext`. */
  readonly proof: Uint8Array;
}

/** The context string of `KeyRenewalRequest.proof`. A copy of the request is of use to nobody without the new key. */
export const keyRenewalContext = "atoll-svid-renewal-v1";

/** A new SVID with the bundles its holder may need. */
export interface IdentityResponse {
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  readonly bundles: readonly TrustBundle[];
  /** `host:port` with a literal address: where the plane's discovery port is reached. A joined proxy keeps them. */
  readonly discoveryAddresses: readonly string[];
}

/** One service port that an instance serves; the port is the service's, not the application's. */
export interface InstancePort {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  /** While it is overloaded: requests a second that are admitted, and those that are asked for. Absent or 0 otherwise. */
  readonly admits?: number;
  readonly asked?: number;
}

/** What an instance says of itself, again and again, for as long as it lives. Fields are as sent: the registry decides. */
export interface SessionReport {
  /** Chosen by the proxy, stable over its restarts. */
  readonly instanceId: string;
  readonly ports: readonly InstancePort[];
  /** Literal IP address of the inbound port. */
  readonly address: string;
  readonly inboundPort: number;
  /** Empty when unknown. */
  readonly zone: string;
  readonly weight: number;
  readonly ready: boolean;
  /** True: deregister now. */
  readonly draining: boolean;
  /** Other clusters of which it has reached no gateway for a while; an older proxy says nothing. */
  readonly unreached?: readonly UnreachedCluster[];
  /** Why the newest of what it knows cannot be written to its disk; absent or empty while it can. */
  readonly unwritten?: string;
  /** Its clock less the plane's, in whole seconds, by the plane's acknowledgements; absent or 0 while it knows of no difference. */
  readonly clockAheadSeconds?: number;
}

export interface SessionAck {
  /** The session ends when no report came for so long; report three times as often. */
  readonly ttlMs: number;
  /** Why the registration is not accepted; empty when it is. The stream stays open either way. */
  readonly refused: string;
  /** Wall-clock ms of the plane when it wrote this; 0 or absent from an older plane. */
  readonly nowMs?: number;
}

/** Message codec of the type in the schema and the type in the program. */
export interface Codec<Value> {
  readonly encode: (value: Value) => Uint8Array;
  /** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
  readonly decode: (bytes: Uint8Array) => Value;
}

/** A codec whose program type has the schema's shape, with `check` run on what was decoded. */
export function checkedCodec<Value extends object>(raw: MessageCodec<Value>, check: (value: Value) => Value): Codec<Value> {
  return { encode: raw.encode, decode: (bytes) => mapped(raw.name, raw.decode(bytes), check) };
}

/** Longest proof of joining, in characters: an attested document of 12 KiB with what stands before it. */
const tokenLengthMax = 12 * 1024 + 64;

/** Largest CSR, in bytes; one with a P-256 key has about 300. */
const csrBytesMax = 16 * 1024;

export const joinRequestCodec: Codec<JoinRequest> = checkedCodec(
  messageCodec<JoinRequest>("atoll.workload.v1.JoinRequest", resourceBytesMax),
  ({ token, csr }) => ({ token: boundedToken(token), csr: boundedCsr(csr) }),
);

export const renewRequestCodec: Codec<RenewRequest> = checkedCodec(
  messageCodec<RenewRequest>("atoll.workload.v1.RenewRequest", resourceBytesMax),
  ({ csr }) => ({ csr: boundedCsr(csr) }),
);

export const jwtRequestCodec: Codec<JwtRequest> = checkedCodec(messageCodec<JwtRequest>("atoll.workload.v1.JwtRequest", resourceBytesMax), ({ audience }) => ({ audience: boundedAudience(audience) }));

export const jwtResponseCodec: Codec<JwtResponse> = checkedCodec(
  messageCodec<JwtResponse>("atoll.workload.v1.JwtResponse", resourceBytesMax),
  ({ token, issuedAtMs, expiresAtMs }) => {
    if (token === "") throw new AtollError("ATOLL_WIRE_INVALID", "an answer without a token");
    return { token, issuedAtMs: exactNumber(issuedAtMs, "the time of a token's issue"), expiresAtMs: exactNumber(expiresAtMs, "the time of a token's end") };
  },
);

export const keyRenewalRequestCodec: Codec<KeyRenewalRequest> = checkedCodec(
  messageCodec<KeyRenewalRequest>("atoll.workload.v1.KeyRenewalRequest", resourceBytesMax),
  ({ certificateChain, csr, proof }) => ({ certificateChain: certificateList(certificateChain, certificatesMax, "certificates of a chain"), csr: boundedCsr(csr), proof: copied(proof) }),
);

export const identityResponseCodec: Codec<IdentityResponse> = checkedCodec(
  messageCodec<IdentityResponse>("atoll.workload.v1.IdentityResponse", resourceBytesMax),
  ({ certificateChain, bundles, discoveryAddresses }) => ({
    certificateChain: certificateList(certificateChain, certificatesMax, "certificates of a chain"),
    bundles: boundedList(bundles, listItemsMax, "bundles").map(bundleOf),
    discoveryAddresses: boundedList(discoveryAddresses, 16, "discovery addresses").map((address) => boundedText(address, "a discovery address")),
  }),
);

export const sessionReportCodec: Codec<SessionReport> = checkedCodec(
  messageCodec<SessionReport>("atoll.workload.v1.SessionReport", resourceBytesMax),
  (report) => {
    boundedList(report.ports, 256, "ports of an instance");
    const unreached = boundedList(report.unreached ?? [], unreachedMax, "unreached clusters of a proxy");
    for (const text of [report.instanceId, report.address, report.zone, report.unwritten ?? "", ...unreached.map(({ cluster }) => cluster)]) shortText(text);
    return report;
  },
);

export const sessionAckCodec: Codec<SessionAck> = checkedCodec(
  messageCodec<SessionAck>("atoll.workload.v1.SessionAck", resourceBytesMax),
  (ack) => (ack.nowMs === undefined ? ack : { ...ack, nowMs: exactNumber(ack.nowMs, "the time of an acknowledgement") }),
);

/** Audiences of one JWT-SVID, and bytes of all of them together: a token has room for that. */
export const jwtAudiencesMax = 16;
export const jwtAudienceBytesMax = 4 * 1024;

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} unless there is one, and none is empty. */
export function boundedAudience(audience: readonly string[]): readonly string[] {
  if (audience.length === 0 || audience.includes("")) throw new AtollError("ATOLL_WIRE_INVALID", "an audience is missing, or empty");
  boundedList(audience, jwtAudiencesMax, "audiences");
  if (Buffer.byteLength(audience.join("")) > jwtAudienceBytesMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `audiences of more than ${jwtAudienceBytesMax} bytes`);
  return audience;
}

/** @throws {ATOLL_WIRE_TOO_LARGE} */
export function boundedToken(token: string): string {
  if (token.length > tokenLengthMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `a token of more than ${tokenLengthMax} characters`);
  return token;
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function boundedCsr(csr: Uint8Array): Uint8Array {
  if (csr.length === 0) throw new AtollError("ATOLL_WIRE_INVALID", "a request without a CSR");
  if (csr.length > csrBytesMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `a CSR of more than ${csrBytesMax} bytes`);
  return copied(csr);
}

/** Longest name, and longest reason, in a session report, in characters. */
export const reportTextMax = 253;

function shortText(text: string): void {
  if (text.length > reportTextMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", "a name of more than 253 characters in a session report");
}
