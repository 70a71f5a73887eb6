import type { ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { readSvidLeaf } from "#federation/identity/certificate-reader.ts";
import type { ClusterId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { Subscriber } from "./discovery/discovery-tables.ts";

/** Calls whose TLS handshake asked for a certificate. */
export type AuthenticatedCall = ServerUnaryCall<never, never> | ServerDuplexStream<never, never>;

/** The caller's identity, read from the DER of the certificate that its handshake proved; undefined when it has none. */
export function callerIdentity(call: Pick<AuthenticatedCall, "getAuthContext">): SpiffeId | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate?.raw === undefined) return undefined;
  const reading = readSvidLeaf(certificate.raw);
  return reading.kind === "svid" ? reading.spiffeId : undefined;
}

/** What a caller of this cluster is to discovery: a workload of its trust domain, or this cluster's gateway; nobody else. */
export function subscriberOf(identity: SpiffeId | undefined, self: { readonly cluster: ClusterId; readonly trustDomain: TrustDomainName }): Subscriber | undefined {
  if (identity === undefined || trustDomainOf(identity) !== self.trustDomain) return undefined;
  const path = pathOf(identity);
  if (path === `/atoll/gateway/${self.cluster}`) return { kind: "gateway", identity };
  return /^\/ns\/[^/]+\/sa\/[^/]+$/.test(path) ? { kind: "workload", identity } : undefined;
}
