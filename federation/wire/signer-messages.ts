import { certificatesMax, resourceBytesMax } from "./limits.ts";
import { certificateList, copied, messageCodec, required } from "./schema.ts";
import { boundedCsr, boundedToken, checkedCodec } from "./workload-messages.ts";
import type { Codec } from "./workload-messages.ts";

/** A cluster plane's first request to its trust domain's signer. CSRs are PKCS#10 DER. */
export interface EnrollRequest {
  readonly token: string;
  readonly cluster: string;
  readonly intermediateCsr: Uint8Array;
  readonly signingCsr: Uint8Array;
}

export interface RenewClusterRequest {
  readonly cluster: string;
  readonly intermediateCsr: Uint8Array;
  readonly signingCsr: Uint8Array;
  /** PEM, the certificate being renewed first. */
  readonly currentSigningChain: Uint8Array;
  /** Signature of the current signing key over both new CSRs; see `renewalProofInput`. */
  readonly proof: Uint8Array;
}

export interface ClusterCredentials {
  /** DER, without the root. */
  readonly intermediateChain: readonly Uint8Array[];
  /** DER, up to and including the authority certificate. */
  readonly signingChain: readonly Uint8Array[];
  /** DER. */
  readonly authorityCertificate: Uint8Array;
  /** SPIFFE bundle document (JWKS) of the trust domain, UTF-8. */
  readonly bundle: Uint8Array;
}

/** The context string of the signature in `RenewClusterRequest.proof`, for `signBytes` and `verifyBytes`. */
export const renewalProofContext = "atoll-cluster-renewal-v1";

/** The bytes that `RenewClusterRequest.proof` signs: cluster and both CSRs, each behind its length in 4 bytes, big-endian. */
export function renewalProofInput(request: Pick<RenewClusterRequest, "cluster" | "intermediateCsr" | "signingCsr">): Uint8Array {
  const parts = [Buffer.from(request.cluster), request.intermediateCsr, request.signingCsr];
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}

export const enrollRequestCodec: Codec<EnrollRequest> = checkedCodec(
  messageCodec<EnrollRequest>("atoll.signer.v1.EnrollRequest", resourceBytesMax),
  (raw) => ({
    token: boundedToken(raw.token),
    cluster: raw.cluster,
    intermediateCsr: boundedCsr(raw.intermediateCsr),
    signingCsr: boundedCsr(raw.signingCsr),
  }),
);

export const renewClusterRequestCodec: Codec<RenewClusterRequest> = checkedCodec(
  messageCodec<RenewClusterRequest>("atoll.signer.v1.RenewClusterRequest", resourceBytesMax),
  (raw) => ({
    cluster: raw.cluster,
    intermediateCsr: boundedCsr(raw.intermediateCsr),
    signingCsr: boundedCsr(raw.signingCsr),
    currentSigningChain: copied(raw.currentSigningChain),
    proof: copied(raw.proof),
  }),
);

export const clusterCredentialsCodec: Codec<ClusterCredentials> = checkedCodec(
  messageCodec<ClusterCredentials>("atoll.signer.v1.ClusterCredentials", resourceBytesMax),
  (raw) => ({
    intermediateChain: certificateList(raw.intermediateChain, certificatesMax, "certificates of a chain"),
    signingChain: certificateList(raw.signingChain, certificatesMax, "certificates of a chain"),
    authorityCertificate: copied(required(raw.authorityCertificate, "the authority certificate")),
    bundle: copied(raw.bundle),
  }),
);
