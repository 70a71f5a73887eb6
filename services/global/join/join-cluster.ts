import type { JoinAnswer, JoinRequest, RenewAnswer, TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import { admitJoiner, type Attestation } from "#federation/catalog/admit-joiner.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { decodeJoinProof } from "#federation/identity/join-proof.ts";
import { spkiSha256 } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import type { JoinProof } from "#federation/model/join-proof.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import type { ClusterId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { planeCommonName, planeStoreHost } from "#federation/model/plane-store.ts";
import { createSpiffeId, pathOf } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { hostNames, type FederationKeys } from "../federation-keys.ts";
import { judgeTrustDomain } from "../trust/judge-trust-domain.ts";

export interface JoinClusterOptions {
  readonly keys: FederationKeys;
  readonly catalog: Catalog;
  /** Whom else than the holders of tokens this plane lets in. */
  readonly attestation: Attestation;
  /** Where planes renew their certificates. */
  readonly apiAddresses: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Lets a cluster's plane in. Its proof says which cluster; everything in the certificate comes from the registered
 * Cluster, nothing from the request but its public key.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with the proof, in always the same words; a token for one is used up even when a later step fails.
 */
export async function joinCluster(options: JoinClusterOptions, request: JoinRequest & { readonly address: string }, signal: AbortSignal): Promise<JoinAnswer> {
  const { keys, catalog, clock, logger } = options;
  const publicKey = publicKeyFromCsr(Buffer.from(request.csr, "base64"));
  const attempt = {
    proof: proofOf(request),
    keySha256: spkiSha256(publicKey),
    address: request.address,
    isWanted: ({ kind }: JoinPurpose) => kind === "cluster",
  };
  const { purpose, attested } = await admitJoiner(options, attempt, clock.nowMs(), signal);
  if (purpose.kind !== "cluster") throw refusedToken("purpose");
  const stored = await catalog.resources("Cluster").get(purpose.cluster, signal);
  if (stored === undefined) throw refusedToken();
  const cluster = stored.value;
  if (request.trustDomain !== undefined) await bringTrustDomain(catalog, cluster.spec.trustDomain, request.trustDomain, signal);
  const chain = keys.issue(planeCertificate(keys, cluster, publicKey, clock.nowMs()));
  logger.info("A cluster joined.", { clusterId: cluster.metadata.name, trustDomain: cluster.spec.trustDomain, ...(attested === undefined ? {} : { attestedBy: attested.source, attestedAs: attested.subject }) });
  return {
    federation: keys.trustDomain,
    cluster: cluster.metadata.name as ClusterId,
    region: cluster.spec.region,
    trustDomain: cluster.spec.trustDomain,
    certificateChainPem: chainPem(chain),
    federationRootPem: keys.rootPem,
    federationAuthorityPem: keys.authorityPem,
    apiAddresses: [...options.apiAddresses()],
  };
}

function proofOf({ tokenId, secret, attestation }: JoinRequest): JoinProof {
  if (tokenId !== undefined && secret !== undefined && attestation === undefined) return { kind: "token", id: tokenId, secret: Buffer.from(secret, "base64url") };
  if (attestation !== undefined && tokenId === undefined && secret === undefined) {
    try {
      return decodeJoinProof(attestation);
    } catch (error) {
      throw refusedToken("document", error);
    }
  }
  throw new AtollError("ATOLL_REQUEST_INVALID", "a join request has either tokenId and secret, or attestation");
}

/**
 * Certifies a plane's next key. The caller's certificate says which cluster it is; one that was deleted is refused, so
 * that it ends with the certificate that it has.
 * @throws {ATOLL_ADMIN_FORBIDDEN}
 */
export async function renewCluster(options: JoinClusterOptions, request: { readonly csr: string; readonly caller: SpiffeId }, signal: AbortSignal): Promise<RenewAnswer> {
  const { keys, catalog, clock, logger } = options;
  const id = clusterOfPlane(request.caller);
  const stored = id === undefined ? undefined : await catalog.resources("Cluster").get(id, signal);
  if (stored === undefined) throw new AtollError("ATOLL_ADMIN_FORBIDDEN", `${request.caller} is not the plane of a registered cluster`);
  const publicKey = publicKeyFromCsr(Buffer.from(request.csr, "base64"));
  const chain = keys.issue(planeCertificate(keys, stored.value, publicKey, clock.nowMs()));
  logger.info("A cluster plane's certificate was renewed.", { clusterId: stored.value.metadata.name });
  return { certificateChainPem: chainPem(chain), apiAddresses: [...options.apiAddresses()] };
}

/** The cluster whose plane has that identity, or undefined for everybody else. */
export function clusterOfPlane(identity: SpiffeId): string | undefined {
  return /^\/atoll\/plane\/cluster\/([a-z0-9-]{1,63})$/.exec(pathOf(identity))?.[1];
}

/** What a cluster plane's certificate says. */
export function planeCertificate(keys: FederationKeys, cluster: Cluster, publicKey: ReturnType<typeof publicKeyFromCsr>, nowMs: number) {
  const name = cluster.metadata.name;
  const spiffeId = createSpiffeId(keys.trustDomain, "atoll", "plane", "cluster", name);
  const hosts = [cluster.spec.planeAddress?.host ?? "127.0.0.1", "localhost", planeStoreHost(name)];
  return { spiffeId, publicKey, nowMs, commonName: planeCommonName(name), ...hostNames(hosts) };
}

/** The first signer that joins pins its trust domain's authority; from then on only the same authority changes anything. */
async function bringTrustDomain(catalog: Catalog, trustDomain: TrustDomainName, statement: TrustDomainStatement, signal: AbortSignal): Promise<void> {
  const present = await catalog.resources("TrustDomain").get(trustDomain, signal);
  const verdict = judgeTrustDomain(trustDomain, present?.value.spec, statement);
  if (verdict.kind === "refused") throw new AtollError("ATOLL_REQUEST_INVALID", verdict.reason);
  if (verdict.kind === "unchanged") return;
  // Two signers that join at the same time must not both be the first.
  await catalog.resources("TrustDomain").apply({ apiVersion, kind: "TrustDomain", metadata: { name: trustDomain }, spec: statement }, { ifRevision: present?.revision ?? 0 }, signal);
}
