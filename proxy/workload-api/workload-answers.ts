import { createPrivateKey } from "node:crypto";
import { selectAnchorRoots } from "#federation/identity/anchors.ts";
import { encodeJwtBundle } from "#federation/identity/bundle-jwks.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { Snapshot } from "#federation/model/snapshot.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { jwtBundlesResponseCodec, x509BundlesResponseCodec, x509SvidResponseCodec, type BundleMap } from "#federation/wire/spiffe-workload.ts";

/** What an application is told, encoded once for all who ask. The first is a secret: it holds the private key. */
export interface WorkloadAnswers {
  readonly svids: Uint8Array;
  readonly bundles: Uint8Array;
  readonly jwtBundles: Uint8Array;
  readonly spiffeId: SpiffeId;
  /** Of the trust domains that it is told of: by these, and no others, tokens are judged. */
  readonly domains: readonly TrustBundle[];
  /** Related trust domains that have no room in an answer. */
  readonly domainsLeftOut: number;
}

/** Bytes of foreign roots in one answer, some 5,000 of them, or of JWT authorities, some 15,000: with what is beside them it stays below what gRPC's clients read. */
export const foreignBytesMax = 3 * 1024 * 1024;

/**
 * What the workload of `svid` may be told; undefined while the roots of its own trust domain are not known. `bundles` as `bundlesFor` has them.
 *
 * The roots are the domains' own certificates and not the constrained anchors of this process: an application's verifier knows nothing of
 * those, and by the standard it judges each peer by the roots of that peer's domain alone. Which roots, and whose, is the same in both:
 * what `createAnchors` would leave out is left out here, so that an application believes nobody whom its sidecar would not.
 */
export function answersOf(svid: X509Svid, bundles: readonly TrustBundle[], bytesMax = foreignBytesMax): WorkloadAnswers | undefined {
  const own = trustDomainOf(svid.spiffeId);
  const roots = Map.groupBy(selectAnchorRoots(bundles).roots, ({ trustDomain }) => trustDomain);
  const joined = Array.from(roots, ([domain, list]) => [domain, Buffer.concat(list.map(({ der }) => der))] as const);
  const bundle = joined.find(([domain]) => domain === own)?.[1];
  if (bundle === undefined) return undefined;
  const { fitting: foreign, leftOut } = bounded(joined.filter(([domain]) => domain !== own), bytesMax);
  const x509Svid = Buffer.concat(parseChainPem(svid.certificateChainPem));
  const x509SvidKey = createPrivateKey(svid.privateKeyPem).export({ type: "pkcs8", format: "der" });
  const told = bundles.filter(({ trustDomain }) => trustDomain === own || idOf(trustDomain) in foreign);
  const keys = told.map((one) => [one.trustDomain, Buffer.from(encodeJwtBundle(one))] as const);
  const jwt = bounded(keys, bytesMax);
  return {
    spiffeId: svid.spiffeId,
    domains: told,
    jwtBundles: jwtBundlesResponseCodec.encode({ bundles: jwt.fitting }),
    svids: x509SvidResponseCodec.encode({ svids: [{ spiffeId: svid.spiffeId, x509Svid, x509SvidKey, bundle, hint: "" }], crl: [], federatedBundles: foreign }),
    bundles: x509BundlesResponseCodec.encode({ crl: [], bundles: { [idOf(own)]: bundle, ...foreign } }),
    domainsLeftOut: leftOut + jwt.leftOut,
  };
}

/**
 * The bundles that a workload of `own` has to do with: its own first, so that no foreign one can stand in its way, then in the order of their
 * names those of the domains whose workloads may call a port of it, and of services that it may call; and last the federated ones, which
 * can stand in nobody's way. A plane shows none of the former without a relationship that holds, none of the latter that was not declared.
 */
export function bundlesFor(snapshot: Pick<Snapshot, "bundles" | "inbound" | "services">, own: TrustDomainName): readonly TrustBundle[] {
  const domains = new Set<TrustDomainName>();
  for (const { callers } of snapshot.inbound.values()) for (const { trustDomain } of callers) domains.add(trustDomain);
  for (const { serverIdentities } of snapshot.services.values()) for (const id of serverIdentities) domains.add(trustDomainOf(id));
  domains.delete(own);
  const related = [own, ...[...domains].toSorted()].flatMap((domain) => snapshot.bundles.get(domain) ?? []).filter(({ isFederated }) => isFederated !== true);
  const federated = [...snapshot.bundles.values()].filter(({ isFederated }) => isFederated === true);
  return [...related, ...federated.toSorted((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1))];
}

/** The key of a trust domain in the standard's maps. */
function idOf(domain: TrustDomainName): string {
  return `spiffe://${domain}`;
}

function bounded(entries: readonly (readonly [TrustDomainName, Buffer])[], bytesMax: number): { readonly fitting: BundleMap; readonly leftOut: number } {
  let bytes = 0;
  const fitting = entries.filter(([domain, told]) => (bytes += domain.length + told.length) <= bytesMax);
  return { fitting: Object.fromEntries(fitting.map(([domain, told]) => [idOf(domain), told])), leftOut: entries.length - fitting.length };
}
