import type { handleUnaryCall } from "@grpc/grpc-js";
import { admitJoiner, type Attestation } from "#federation/catalog/admit-joiner.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { peerOfCall } from "#federation/identity/grpc-listener.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import { decodeJoinProof } from "#federation/identity/join-proof.ts";
import { spkiSha256 } from "#federation/identity/key-pair.ts";
import { issueSvid } from "#federation/identity/leaf.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { createSpiffeId, createWorkloadId } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { IdentityResponse, JoinRequest, RenewRequest } from "#federation/wire/workload-messages.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import { subscriberOf } from "../peer-identity.ts";
import type { ClusterKeys } from "./cluster-credentials.ts";
import { addressOf, unary } from "./enrolment.ts";

export interface WorkloadIssuerOptions {
  readonly self: ClusterSelf;
  readonly keys: Watched<ClusterKeys>;
  readonly catalog: Catalog;
  /** Whom else than the holders of tokens this plane lets in. */
  readonly attestation: Attestation;
  /** The federation's bundle, by which a proxy knows its plane, and those of the state. */
  readonly bundles: () => readonly TrustBundle[];
  /** `host:port` of this plane's discovery port, where the proxy goes on. */
  readonly discoveryAddress: () => string;
  readonly svidMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly guard: JoinGuard;
  readonly onRefused: (code: string) => void;
  readonly onIssued: (kind: "first" | "renewed") => void;
  readonly signal: AbortSignal;
}

/** Issues SVIDs to proxies: the first for a token or an attested document, the next ones for the SVID before. Names come from the token, the rule or the certificate, never from the request. */
export function workloadIssuer(options: WorkloadIssuerOptions): {
  readonly issueFirst: handleUnaryCall<JoinRequest, IdentityResponse>;
  readonly renew: handleUnaryCall<RenewRequest, IdentityResponse>;
} {
  return {
    issueFirst: unary(options, async (request, call) => {
      const attempt = {
        proof: decodeJoinProof(request.token),
        keySha256: spkiSha256(publicKeyFromCsr(request.csr)),
        address: addressOf(call.getPeer()),
        isWanted: ({ kind }: JoinPurpose) => kind === "workload" || kind === "gateway",
      };
      const { purpose, attested } = await admitJoiner(options, attempt, options.clock.nowMs(), options.signal);
      if (attested !== undefined) options.logger.info("A proxy is let in by what others attest of it.", { purpose, attestedBy: attested.source, attestedAs: attested.subject });
      const { self } = options;
      if (purpose.kind === "workload") return issue(options, createWorkloadId(self.trustDomain, purpose.namespace, purpose.serviceAccount), request.csr, "first");
      if (purpose.kind === "gateway") return issue(options, createSpiffeId(self.trustDomain, "atoll", "gateway", self.cluster), request.csr, "first");
      throw refusedToken("purpose");
    }),
    renew: unary({ logger: options.logger, onRefused: options.onRefused }, async (request, call) => {
      const subscriber = subscriberOf(peerOfCall(call), options.self);
      if (subscriber === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "only workloads of this cluster's trust domain renew here");
      return issue(options, subscriber.identity, request.csr, "renewed");
    }),
  };
}

function issue(options: WorkloadIssuerOptions, spiffeId: SpiffeId, csr: Uint8Array, kind: "first" | "renewed"): IdentityResponse {
  const certificateChain = issueSvid(options.keys.current.issuer, {
    spiffeId,
    publicKey: publicKeyFromCsr(csr),
    validityMs: options.svidMs,
    nowMs: options.clock.nowMs(),
  });
  options.onIssued(kind);
  return { certificateChain, bundles: options.bundles(), discoveryAddresses: [options.discoveryAddress()] };
}
