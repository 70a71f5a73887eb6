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
import type { ClusterKeys } from "./cluster-keys.ts";
import { addressOf, unary } from "./enrolment.ts";
import { issuerOf } from "./key-roles.ts";

/** What SVIDs are made of: keys in files, and no store. */
export interface SvidIssuing {
  readonly keys: Watched<ClusterKeys>;
  readonly svidMs: number;
  readonly clock: Clock;
  readonly onIssued: (kind: SvidIssue) => void;
}

/** By what its holder was known to whom an SVID was issued. */
export type SvidIssue = "first" | "renewed" | "renewedByKey";

export interface WorkloadIssuerOptions extends SvidIssuing {
  readonly self: ClusterSelf;
  readonly catalog: Catalog;
  /** Whom else than the holders of tokens this plane lets in. */
  readonly attestation: Attestation;
  /** The federation's bundle, by which a proxy knows its plane, and those of the state. */
  readonly bundles: () => readonly TrustBundle[];
  /** `host:port` of this plane's discovery port, where the proxy goes on. */
  readonly discoveryAddress: () => string;
  readonly logger: Logger;
  readonly guard: JoinGuard;
  readonly onRefused: (code: string) => void;
  readonly signal: AbortSignal;
}

/** Issues SVIDs to proxies: the first for a token or an attested document, the next ones for the SVID before. Names come from the token, the rule or the certificate, never from the request. */
export function workloadIssuer(options: WorkloadIssuerOptions): {
  readonly issueFirst: handleUnaryCall<JoinRequest, IdentityResponse>;
  readonly renew: handleUnaryCall<RenewRequest, IdentityResponse>;
} {
  const answer = (spiffeId: SpiffeId, csr: Uint8Array, kind: SvidIssue): IdentityResponse => ({
    certificateChain: issueWorkloadSvid(options, spiffeId, csr, kind),
    bundles: options.bundles(),
    discoveryAddresses: [options.discoveryAddress()],
  });
  return {
    issueFirst: unary(options, async (request, call) => {
      // Before a token is used up for nothing.
      issuerOf(options.keys.current);
      const attempt = {
        proof: decodeJoinProof(request.token),
        keySha256: spkiSha256(publicKeyFromCsr(request.csr)),
        address: addressOf(call.getPeer()),
        isWanted: ({ kind }: JoinPurpose) => kind === "workload" || kind === "gateway",
      };
      const { purpose, attested } = await admitJoiner(options, attempt, options.clock.nowMs(), options.signal);
      if (attested !== undefined) options.logger.info("A proxy is let in by what others attest of it.", { purpose, attestedBy: attested.source, attestedAs: attested.subject });
      const { self } = options;
      if (purpose.kind === "workload") return answer(createWorkloadId(self.trustDomain, purpose.namespace, purpose.serviceAccount), request.csr, "first");
      if (purpose.kind === "gateway") return answer(createSpiffeId(self.trustDomain, "atoll", "gateway", self.cluster), request.csr, "first");
      throw refusedToken("purpose");
    }),
    renew: unary({ logger: options.logger, onRefused: options.onRefused }, async (request, call) => {
      const subscriber = subscriberOf(peerOfCall(call), options.self);
      if (subscriber === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "only workloads of this cluster's trust domain renew here");
      return answer(subscriber.identity, request.csr, "renewed");
    }),
  };
}

/** The chain of a new SVID for the key in `csr`, in DER. @throws {ATOLL_ROLE_CLOSED | ATOLL_CERTIFICATE_INVALID} the second for a request that holds no key for one. */
export function issueWorkloadSvid({ keys, svidMs, clock, onIssued }: SvidIssuing, spiffeId: SpiffeId, csr: Uint8Array, kind: SvidIssue): readonly Uint8Array[] {
  const chain = issueSvid(issuerOf(keys.current), { spiffeId, publicKey: publicKeyFromCsr(csr), validityMs: svidMs, nowMs: clock.nowMs() });
  onIssued(kind);
  return chain;
}
