import { sign } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CollectionState } from "#federation/catalog/collection.ts";
import { createAuthority } from "#federation/identity/authority.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { encodeBundle, parseBundle } from "#federation/identity/bundle-jwks.ts";
import type { ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type ExportedService, type FederatedTrustDomain, type Relationship, type RelationshipSide, type Service, type ServiceExport, type ServiceImport, type TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput, trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { jwtAuthoritiesMax, type TrustBundle } from "#federation/model/trust-bundle.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { settled } from "./catalog-fixture.ts";
import { clusterResource, clusterState, service, serviceImport } from "./cluster-state-fixture.ts";
import { ClusterStateSource, type OwnTrust } from "./cluster-state-source.ts";
import type { EndpointState } from "./cluster-state.ts";
import { exportedService } from "./replicated/replicated-fixture.ts";
import { emptyReplicatedState, type ReplicatedState } from "./replicated/replicated-view.ts";

const { self } = clusterState();
const pay = "pay.example" as TrustDomainName;
const collection = <T>(items: ReadonlyMap<string, T>, loaded = true): CollectionState<T> => ({
  loaded,
  items: new Map([...items].map(([id, value]) => [id, { id, value, revision: 1 }])),
  revision: 1,
});
const received = (exported: ExportedService): ServiceImport => serviceImport(exported);
const clusterOf = (name: string, trustDomain: string, region: string, namespaces: readonly string[]): Cluster => ({
  ...clusterResource(),
  metadata: { name },
  spec: { ...clusterResource().spec, trustDomain: trustDomain as TrustDomainName, region: region as RegionId, exportNamespaces: namespaces },
});

describe("ClusterStateSource", () => {
  const clock = new VirtualClock();
  const domains = { own: createDomainFixture("shop.example", clock.nowMs()), pay: createDomainFixture(pay, clock.nowMs()) };
  const authorities = {
    caller: createAuthority({ trustDomain: self.trustDomain, validityMs: 1e11, nowMs: clock.nowMs() }),
    callee: createAuthority({ trustDomain: pay, validityMs: 1e11, nowMs: clock.nowMs() }),
  };
  const signed = (side: RelationshipSide, input: Uint8Array): string =>
    sign("sha256", input, { key: authorities[side].privateKeyPem, dsaEncoding: "ieee-p1363" }).toString("base64url");
  const trustDomainOf = (domain: DomainFixture, over: Partial<TrustBundle> = {}, text = encodeBundle({ ...domain.bundle, ...over })): TrustDomain => ({
    apiVersion,
    kind: "TrustDomain",
    metadata: { name: pay },
    spec: { authorityCertificatePem: authorities.callee.certificatePem, bundle: text, bundleSignature: signed("callee", trustDomainSigningInput(pay, text)) },
  });
  const relationship = (validUntil = "2099-01-01T00:00:00Z"): Relationship => {
    const base: Relationship = {
      apiVersion,
      kind: "Relationship",
      metadata: { name: "shop-calls-payments" },
      spec: {
        caller: { trustDomain: self.trustDomain, authoritySha256: authorityPinOf(authorities.caller.certificatePem), principals: ["*"] },
        callee: { trustDomain: pay, authoritySha256: authorityPinOf(authorities.callee.certificatePem), services: ["core/payments"] },
        validUntil,
      },
    };
    const approvals = (["caller", "callee"] as const).map((side) => ({ side, signature: signed(side, relationshipSigningInput(base.metadata.name, base.spec)), approvedAt: "2026-01-01T00:00:00Z" }));
    return { ...base, status: { approvals } };
  };
  const payments = received(
    exportedService({ namespace: "core", name: "payments", trustDomain: pay, cluster: "pay-us" as ClusterId, serverIdentities: ["spiffe://pay.example/ns/core/sa/payments" as SpiffeId] }),
  );

  let inputs: {
    readonly federated: WatchedValue<CollectionState<FederatedTrustDomain>>;
    readonly services: WatchedValue<CollectionState<Service>>;
    readonly exports: WatchedValue<CollectionState<ServiceExport>>;
    readonly endpoints: WatchedValue<ReadonlyMap<string, EndpointState>>;
    readonly endpointsLoaded: WatchedValue<boolean>;
    readonly replicated: WatchedValue<ReplicatedState>;
    readonly replicatedLoaded: WatchedValue<boolean>;
    readonly ownTrust: WatchedValue<OwnTrust>;
    readonly withdrawn: WatchedValue<ReadonlySet<string>>;
  };
  let source: ClusterStateSource;
  let stop: AbortController;
  let following: Promise<void>;
  const replicate = async (over: Partial<ReplicatedState>): Promise<void> => {
    inputs.replicated.set({ ...inputs.replicated.current, ...over });
    await settled(clock);
  };
  const imported = (): readonly string[] => [...source.state.current.imports.values()].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

  beforeEach(() => {
    inputs = {
      federated: new WatchedValue(collection<FederatedTrustDomain>(new Map())),
      services: new WatchedValue(collection<Service>(new Map(), false)),
      exports: new WatchedValue(collection<ServiceExport>(new Map())),
      endpoints: new WatchedValue<ReadonlyMap<string, EndpointState>>(new Map()),
      endpointsLoaded: new WatchedValue(true),
      replicated: new WatchedValue(emptyReplicatedState),
      replicatedLoaded: new WatchedValue(true),
      ownTrust: new WatchedValue({ bundle: domains.own.bundle, authorityCertificatePem: authorities.caller.certificatePem }),
      withdrawn: new WatchedValue<ReadonlySet<string>>(new Set()),
    };
    source = new ClusterStateSource({ self, epoch: 3, ...inputs, parseBundle, clock });
    stop = new AbortController();
    following = source.follow(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await following;
  });

  it("has loaded only when every part has been read, and its state is whole by then", async () => {
    await settled(clock);
    expect(source.loaded.current).toBe(false);
    let seen: ReadonlyMap<string, Service> | undefined;
    const watching = (async () => {
      for await (const isLoaded of source.loaded.changes(stop.signal)) if (isLoaded) seen = source.state.current.services;
    })();
    inputs.services.set(collection(new Map([["web/storefront", service("web", "storefront")]])));
    await settled(clock);
    expect([...(seen?.keys() ?? [])]).toEqual(["web/storefront"]);
    stop.abort();
    await watching;
  });

  it("imports what clusters of the own trust domain export, never its own, and only while their Cluster allows it", async () => {
    const exports = new Map([
      ["shop-us/web/storefront", received(exportedService())],
      ["shop-eu/web/storefront", received(exportedService({ cluster: self.cluster, region: self.region }))],
    ]);
    await replicate({ exports });
    expect(imported()).toEqual([]);
    await replicate({ clusters: new Map([["shop-us", clusterOf("shop-us", "shop.example", "us-east", ["web"])], ["shop-eu", clusterResource()]]) });
    expect(imported()).toEqual(["web/storefront.shop-us"]);
    await replicate({ clusters: new Map([["shop-us", clusterOf("shop-us", "shop.example", "us-east", ["core"])]]) });
    expect(imported()).toEqual([]);
  });

  it("shows foreign services and bundles under an effective relationship until its date, and looks at the clock by itself", async () => {
    const known = {
      clusters: new Map([["pay-us", clusterOf("pay-us", pay, "us-east", ["core"])]]),
      trustDomains: new Map([[pay as string, trustDomainOf(domains.pay)]]),
      exports: new Map([["pay-us/core/payments", payments]]),
    };
    await replicate(known);
    expect(imported()).toEqual([]);
    expect([...source.state.current.bundles.keys()]).toEqual(["shop.example"]);
    await replicate({ relationships: new Map([["shop-calls-payments", relationship(new Date(clock.nowMs() + 60_000).toISOString())]]) });
    expect(imported()).toEqual(["core/payments.pay-us"]);
    expect([...source.state.current.bundles.keys()]).toEqual(["shop.example", "pay.example"]);
    await clock.advance(66_000);
    expect(imported()).toEqual([]);
    expect(source.verdicts().get("shop-calls-payments")).toMatchObject({ kind: "none", reason: "Expired" });
  });

  it("shows the bundles of federated trust domains, fetched ones before those that were handed over, and never one of a trust domain of this federation", async () => {
    const partner = createDomainFixture("partner.example", clock.nowMs());
    const fetched = encodeBundle({ ...partner.bundle, sequence: 2 });
    const of = (name: string, over: Partial<FederatedTrustDomain> = {}): [string, FederatedTrustDomain] => [
      name,
      { apiVersion, kind: "FederatedTrustDomain", metadata: { name }, spec: { bundleEndpoint: { urls: ["https://partner.example/"], profile: "https_web" } }, ...over },
    ];
    const declare = async (...list: readonly [string, FederatedTrustDomain][]): Promise<void> => {
      inputs.federated.set(collection(new Map(list)));
      await settled(clock);
    };
    const sequences = (): object => Object.fromEntries([...source.state.current.bundles].map(([name, { sequence, isFederated }]) => [name, isFederated === true ? sequence : "ours"]));
    await declare(of("partner.example"));
    expect(sequences(), "nothing is known of it yet").toEqual({ "shop.example": "ours" });
    await declare(of("partner.example", { spec: { bundleEndpoint: { urls: ["https://partner.example/"], profile: "https_web" }, trustDomainBundle: encodeBundle(partner.bundle) } }));
    expect(sequences()).toEqual({ "shop.example": "ours", "partner.example": 1 });
    await declare(of("partner.example", { status: { fetched: { bundle: fetched, acceptedAt: "2026-01-01T00:00:00Z" } } }));
    expect(sequences()).toEqual({ "shop.example": "ours", "partner.example": 2 });
    const before = source.state.current.bundles;
    await replicate({ regions: new Map() });
    expect(source.state.current.bundles, "the same while nothing of it changes").toBe(before);

    // Declared before the trust domain came to the federation, or by a store that was restored.
    const ours = (name: string): [string, FederatedTrustDomain] => of(name, { status: { fetched: { bundle: encodeBundle(createDomainFixture(name, clock.nowMs()).bundle), acceptedAt: "2026-01-01T00:00:00Z" } } });
    await declare(ours("shop.example"), ours("demo.atoll"), ours(pay));
    expect(sequences()).toEqual({ "shop.example": "ours", [pay]: 1 });
    expect(source.state.current.bundles.get(self.trustDomain)?.x509Authorities).toEqual(domains.own.bundle.x509Authorities);
    await replicate({ trustDomains: new Map([[pay as string, trustDomainOf(domains.pay)]]) });
    expect(sequences(), "and no relationship").toEqual({ "shop.example": "ours" });
  });

  it("joins to a bundle the JWT authorities of all clusters of its trust domain, until they end, and nobody else's", async () => {
    const authority = () => jwtAuthorityOf(createKeyPair().publicKey);
    const [own, other, ending, foreign, strange] = [authority(), authority(), authority(), authority(), authority()];
    const keysOf = (name: TrustDomainName): readonly string[] | undefined => source.state.current.bundles.get(name)?.jwtAuthorities?.map(({ keyId }) => keyId);
    const ids = (...list: readonly { readonly keyId: string }[]): readonly string[] => list.map(({ keyId }) => keyId);
    const stated = (trustDomain: string, ...authorities: readonly ClusterJwtAuthority[]) => ({ trustDomain, authorities });
    const clusters = new Map([["shop-us", clusterOf("shop-us", "shop.example", "us-east", [])], ["pay-us", clusterOf("pay-us", pay, "us-east", [])]]);
    await replicate({
      jwtAuthorities: new Map([
        ["pay-us", stated(pay, foreign)],
        [self.cluster, stated(self.trustDomain, own)],
        ["shop-us", stated(self.trustDomain, other, { ...ending, untilMs: clock.nowMs() + 30_000 }, own)],
        ["unknown", stated(self.trustDomain, strange)],
      ]),
    });
    expect(keysOf(self.trustDomain), "of others nothing before their Cluster is known").toEqual(ids(own));
    await replicate({ clusters });
    expect(keysOf(self.trustDomain)).toEqual(ids(own, other, ending));
    const before = source.state.current.bundles;
    await replicate({ regions: new Map() });
    expect(source.state.current.bundles, "the same while it says the same").toBe(before);
    await replicate({ trustDomains: new Map([[pay, trustDomainOf(domains.pay)]]) });
    expect(keysOf(pay), "there is no relationship").toBeUndefined();
    await replicate({ relationships: new Map([["r", relationship()]]) });
    expect(keysOf(pay)).toEqual(ids(foreign));
    await clock.advance(40_000);
    await settled(clock);
    expect(keysOf(self.trustDomain)).toEqual(ids(own, other));
    await replicate({ clusters: new Map([["shop-us", clusterOf("shop-us", pay, "us-east", [])]]) });
    expect(keysOf(self.trustDomain), "it belongs elsewhere now").toEqual(ids(own));
    expect(keysOf(pay), "its cluster was deleted").toBeUndefined();
    const many = Array.from({ length: jwtAuthoritiesMax + 5 }, (_, n) => ({ keyId: `k${n}`, publicKey: own.publicKey }));
    await replicate({ jwtAuthorities: new Map([[self.cluster, stated(self.trustDomain, ...many)]]) });
    expect([keysOf(self.trustDomain)?.length, source.jwtAuthoritiesLeftOut]).toEqual([jwtAuthoritiesMax, 5]);
  });

  it("holds to what its own side has taken back, though the global plane sends the approval still", async () => {
    await replicate({
      clusters: new Map([["pay-us", clusterOf("pay-us", pay, "us-east", ["core"])]]),
      trustDomains: new Map([[pay as string, trustDomainOf(domains.pay)]]),
      exports: new Map([["pay-us/core/payments", payments]]),
      relationships: new Map([["shop-calls-payments", relationship()]]),
    });
    expect(imported()).toEqual(["core/payments.pay-us"]);
    inputs.withdrawn.set(new Set(["shop-calls-payments"]));
    await settled(clock);
    expect(imported()).toEqual([]);
    expect([...source.state.current.bundles.keys()]).toEqual(["shop.example"]);
    expect(source.verdicts().get("shop-calls-payments")).toMatchObject({ kind: "none", reason: "CallerHasNotApproved", message: "shop.example has taken its approval back" });
    inputs.withdrawn.set(new Set());
    await settled(clock);
    expect(imported()).toEqual(["core/payments.pay-us"]);
  });

  it("keeps a foreign domain's last good bundle against a broken, an older and an unsigned one", async () => {
    const relationships = new Map([["shop-calls-payments", relationship()]]);
    await replicate({ relationships, trustDomains: new Map([[pay as string, trustDomainOf(domains.pay, { sequence: 5 })]]) });
    const bundle = () => source.state.current.bundles.get(pay);
    expect(bundle()?.sequence).toBe(5);
    await replicate({ trustDomains: new Map([[pay as string, trustDomainOf(domains.pay, {}, "{}")]]) });
    expect(bundle()?.sequence).toBe(5);
    await replicate({ trustDomains: new Map([[pay as string, trustDomainOf(domains.pay, { sequence: 4 })]]) });
    expect(bundle()?.sequence).toBe(5);
    const forged = trustDomainOf(domains.pay, { sequence: 9 });
    await replicate({ trustDomains: new Map([[pay as string, { ...forged, spec: { ...forged.spec, bundleSignature: signed("caller", trustDomainSigningInput(pay, forged.spec.bundle)) } }]]) });
    expect(bundle()?.sequence).toBe(5);
    await replicate({ trustDomains: new Map([[pay as string, trustDomainOf(domains.pay, { sequence: 6 })]]) });
    expect(bundle()?.sequence).toBe(6);
  });
});
