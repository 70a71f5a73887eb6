import { Client, type handleUnaryCall, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { admitJoiner, type Attestation } from "#federation/catalog/admit-joiner.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import { decodeJoinProof } from "#federation/identity/join-proof.ts";
import type { JoinVoucher } from "#federation/identity/join-voucher.ts";
import { spkiSha256 } from "#federation/identity/key-pair.ts";
import { chainPem, parseChainPem } from "#federation/identity/pem.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { joinRefusalLabel } from "#federation/model/join-refusal.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { callUnary, isServiceError, signerService } from "#federation/wire/grpc-services.ts";
import { signBytes, verifyBytes, type VerifyChain } from "#federation/wire/signed-object.ts";
import { renewalProofContext, renewalProofInput, type ClusterCredentials, type EnrollRequest, type RenewClusterRequest } from "#federation/wire/signer-messages.ts";
import type { Certify } from "./cluster-credentials.ts";
import type { SignerRole } from "./signer-role.ts";

const callTimeoutMs = 10_000;

/** Asks the signer's plane for credentials: by an enrolment token or evidence the first time, by the key that is being renewed later. */
export function remoteCertify(options: {
  readonly cluster: string;
  readonly openVoucher: () => Promise<JoinVoucher>;
  readonly federationBundle: TrustBundle;
  readonly clock: Clock;
}): Certify {
  const { cluster, federationBundle, clock } = options;
  return async ({ intermediate, signing }, current, signal) => {
    const voucher = await options.openVoucher();
    const anchors = createAnchors([federationBundle]);
    const accept = (id: Parameters<typeof pathOf>[0]): boolean =>
      trustDomainOf(id) === federationBundle.trustDomain && pathOf(id).startsWith("/atoll/plane/cluster/");
    const [address = ""] = voucher.addresses;
    const client = new Client(address, createGrpcCredentials(() => ({ anchors, accept })));
    const call = { deadlineMs: callTimeoutMs, nowMs: clock.nowMs(), signal };
    try {
      if (current === undefined) {
        const request: EnrollRequest = { token: await voucher.prove(signal), cluster, intermediateCsr: intermediate, signingCsr: signing };
        return await callUnary(client, signerService.enrollCluster, request, call);
      }
      const unsigned = { cluster, intermediateCsr: intermediate, signingCsr: signing };
      const proof = signBytes(renewalProofContext, renewalProofInput(unsigned), current.privateKey);
      const request: RenewClusterRequest = { ...unsigned, currentSigningChain: Buffer.from(chainPem(current.chain)), proof };
      return await callUnary(client, signerService.renewCluster, request, call);
    } catch (error) {
      if (isAtollError(error)) throw error;
      if (isServiceError(error, status.PERMISSION_DENIED)) {
        throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", `the signer at ${address} refused: ${voucher.isLasting ? "no rule of its attestation gives this cluster's enrolment for what is attested here" : "the token has been used, has expired or was revoked, or is not for this cluster or address"}`, { cause: error });
      }
      throw new AtollError("ATOLL_PEER_UNAVAILABLE", `the signer at ${address} gave no credentials: ${describeError(error)}`, { cause: error });
    } finally {
      client.close();
    }
  };
}

export interface SignerServiceOptions extends UnaryOptions {
  readonly signer: Pick<SignerRole, "current">;
  readonly catalog: Catalog;
  readonly attestation: Attestation;
  readonly federation: string;
  readonly trustDomain: TrustDomainName;
  /** Judges the chain of the signing key that a renewal shows. */
  readonly verifyChain: VerifyChain;
  /** False for a cluster that is known to be none of this trust domain any more: it is not renewed. */
  readonly isMember: (cluster: string) => boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The handlers of the signer's gRPC service, for the plane that holds its trust domain's keys. */
export function signerHandlers(options: SignerServiceOptions): {
  readonly enrollCluster: handleUnaryCall<EnrollRequest, ClusterCredentials>;
  readonly renewCluster: handleUnaryCall<RenewClusterRequest, ClusterCredentials>;
} {
  return {
    enrollCluster: unary(options, async (request, call) => {
      // Before a token is used up for nothing.
      const signer = options.signer.current();
      const attempt = {
        proof: decodeJoinProof(request.token),
        keySha256: spkiSha256(publicKeyFromCsr(request.intermediateCsr)),
        address: addressOf(call.getPeer()),
        isWanted: (purpose: JoinPurpose) => purpose.kind === "enrolment" && purpose.cluster === request.cluster,
      };
      const { attested } = await admitJoiner(options, attempt, options.clock.nowMs(), options.signal);
      options.logger.info("A cluster enrolled with this trust domain.", { clusterId: request.cluster, ...(attested === undefined ? {} : { attestedBy: attested.source, attestedAs: attested.subject }) });
      return signer.certify(request.cluster, request.intermediateCsr, request.signingCsr, options.clock.nowMs());
    }),
    renewCluster: unary(options, async (request) => {
      if (!options.isMember(request.cluster)) throw new AtollError("ATOLL_PEER_UNVERIFIED", `${request.cluster} is not a cluster of ${options.trustDomain} any more`);
      const chain = parseChainPem(Buffer.from(request.currentSigningChain).toString("utf8"));
      const publicKey = options.verifyChain(chain, { federation: options.federation, origin: request.cluster, trustDomain: options.trustDomain });
      verifyBytes(renewalProofContext, renewalProofInput(request), request.proof, publicKey);
      const credentials = options.signer.current().certify(request.cluster, request.intermediateCsr, request.signingCsr, options.clock.nowMs());
      options.logger.info("A cluster's credentials were renewed.", { clusterId: request.cluster });
      return credentials;
    }),
  };
}

export interface UnaryOptions {
  readonly logger: Logger;
  /** Bounds the attempts of strangers; absent where the caller's certificate is known already. */
  readonly guard?: JoinGuard;
  /** Hears of each refusal: its code, with the reason where a token has one. */
  readonly onRefused: (code: string) => void;
}

/** A unary handler that answers every refusal in the same words and logs why. */
export function unary<Request, Response>(
  options: UnaryOptions,
  handle: (request: Request, call: ServerUnaryCall<Request, Response>) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
    const address = addressOf(call.getPeer());
    const guarded = async (): Promise<Response> => {
      options.guard?.enter(address);
      return await handle(call.request, call);
    };
    guarded().then(
      (response) => callback(null, response),
      (error: unknown) => {
        options.onRefused(joinRefusalLabel(error));
        options.logger.warn("A request for credentials was refused.", { reason: describeError(error) });
        const answer = refusalOf(error);
        if (answer.code === status.PERMISSION_DENIED) options.guard?.refused(address);
        callback(answer);
      },
    );
  };
}

/** What is our own trouble may be tried again; everything else is refused without a reason, so that nothing can be learned by trying. */
function refusalOf(error: unknown): { readonly code: status; readonly details: string } {
  if (isAtollError(error, "ATOLL_ROLE_CLOSED")) return { code: status.UNAVAILABLE, details: "a key of this plane cannot be used; `atoll check` names its files" };
  if (isAtollError(error, "ATOLL_STORE_UNAVAILABLE", "ATOLL_STORE_UNWRITABLE", "ATOLL_ABORTED", "ATOLL_INTERNAL")) return { code: status.UNAVAILABLE, details: "this plane cannot answer now" };
  if (isAtollError(error, "ATOLL_JOIN_OVERLOADED")) return { code: status.RESOURCE_EXHAUSTED, details: "too many attempts" };
  return { code: status.PERMISSION_DENIED, details: "refused" };
}

/** `host:port` of a connection without the port: attempts are counted by host. */
export function addressOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(":"))) || peer;
}
