import type { JoinAnswer, JoinRequest, TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { spkiSha256 } from "#federation/identity/key-pair.ts";
import { parseX509, trustDomainOfAuthority } from "#federation/identity/authority.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { chainPem, parseChainPem } from "#federation/identity/pem.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import type { ClusterId, TrustDomainName } from "#federation/model/names.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { hostNames, type FederationKeys } from "../federation-keys.ts";

export interface JoinClusterOptions {
  readonly keys: FederationKeys;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Lets a cluster's plane in. The token says which cluster; everything in the certificate comes from the registered
 * Cluster, nothing from the request but its public key.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with the token; used up even when a later step fails.
 */
export async function joinCluster(options: JoinClusterOptions, request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
  const { keys, catalog, clock, logger } = options;
  const publicKey = publicKeyFromCsr(Buffer.from(request.csr, "base64"));
  const purpose = await catalog.joinTokens.consume(request.tokenId, Buffer.from(request.secret, "base64url"), clock.nowMs(), signal);
  if (purpose.kind !== "cluster") throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used");
  const stored = await catalog.resources("Cluster").get(purpose.cluster, signal);
  if (stored === undefined) throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used");
  const cluster = stored.value;
  if (request.trustDomain !== undefined) await bringTrustDomain(catalog, cluster, request.trustDomain, signal);
  const chain = keys.issue(planeCertificate(keys, cluster, publicKey, clock.nowMs()));
  logger.info("A cluster joined.", { clusterId: cluster.metadata.name, trustDomain: cluster.spec.trustDomain });
  return {
    federation: keys.trustDomain,
    cluster: cluster.metadata.name as ClusterId,
    region: cluster.spec.region,
    trustDomain: cluster.spec.trustDomain,
    certificateChainPem: chainPem(chain),
    federationRootPem: keys.rootPem,
    federationAuthorityPem: keys.authorityPem,
  };
}

/** What a cluster plane's certificate says. */
export function planeCertificate(keys: FederationKeys, cluster: Cluster, publicKey: ReturnType<typeof publicKeyFromCsr>, nowMs: number) {
  const name = cluster.metadata.name;
  const spiffeId = createSpiffeId(keys.trustDomain, "atoll", "plane", "cluster", name);
  const hosts = [cluster.spec.planeAddress?.host ?? "127.0.0.1", "localhost"];
  return { spiffeId, publicKey, nowMs, commonName: `atoll-${name}`, ...hostNames(hosts) };
}

/** The first signer that joins pins its trust domain's authority; from then on only the same authority changes anything. */
async function bringTrustDomain(catalog: Catalog, cluster: Cluster, statement: TrustDomainStatement, signal: AbortSignal): Promise<void> {
  const trustDomain: TrustDomainName = cluster.spec.trustDomain;
  const [authorityDer = new Uint8Array()] = parseChainPem(statement.authorityCertificatePem);
  if (trustDomainOfAuthority(authorityDer) !== trustDomain) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `the authority that was brought is not one of ${trustDomain}`);
  }
  const present = await catalog.resources("TrustDomain").get(trustDomain, signal);
  if (present !== undefined && pin(present.value.spec.authorityCertificatePem) !== pin(statement.authorityCertificatePem)) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `the authority of ${trustDomain} is pinned already, and it is another one`);
  }
  await catalog.resources("TrustDomain").apply({ apiVersion, kind: "TrustDomain", metadata: { name: trustDomain }, spec: statement }, {}, signal);
}

/** How an authority is pinned. */
export function pin(authorityCertificatePem: string): string {
  const [der = new Uint8Array()] = parseChainPem(authorityCertificatePem);
  return spkiSha256(parseX509(der).publicKey);
}
