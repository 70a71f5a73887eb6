import { createHash, X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { withdrawApproval } from "#federation/admin-api/relationship-client.ts";
import { verifyJwtSvid } from "#federation/identity/jwt-svid.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Relationship, type Resource } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { TestProxy } from "./test-proxy.ts";

const { signal } = new AbortController();
const shop = "shop.example" as TrustDomainName;
const pay = "pay.example" as TrustDomainName;
const storefront = "storefront.web.svc.shop.example";
const payments = "payments.core.svc.pay.example";
const ports = [{ name: "http", port: 80, protocol: "http" }] as const;

const cluster = (name: string, trustDomain: TrustDomainName, region: string, namespace: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: region as RegionId, trustDomain, exportNamespaces: [namespace], gateways: [{ address: "127.0.0.1", port: 15_443 }] },
});

describe("planes of a federation in one process", () => {
  let planes: InProcessPlanes;
  let global: RunningPlane;
  const clusters = new Map<string, RunningPlane>();
  let proxy: TestProxy;

  const apply = async (admin: AdminClient, ...resources: readonly Resource[]): Promise<void> => {
    for (const resource of resources) await admin.apply(resource, {}, signal);
  };
  const at = async <T>(where: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> => await planes.at(where, act);
  const exportService = async (where: string, namespace: string, name: string, consumers?: readonly TrustDomainName[]): Promise<void> =>
    await at(where, (admin) =>
      apply(
        admin,
        { apiVersion, kind: "Service", metadata: { namespace, name }, spec: { ports: [...ports], serviceAccounts: [name] } },
        { apiVersion, kind: "ServiceExport", metadata: { namespace, name }, spec: consumers === undefined ? {} : { consumers: consumers.map((trustDomain) => ({ trustDomain })) } },
      ),
    );
  const remotePlaces = (host: string): readonly string[] => proxy.service(host)?.places.filter((place) => place.kind === "remote").map((place) => place.cluster) ?? [];

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    global = await planes.startGlobal();
    await at(undefined, (admin) =>
      apply(
        admin,
        { apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} },
        { apiVersion, kind: "Region", metadata: { name: "us-east" }, spec: {} },
        cluster("shop-eu", shop, "eu-west", "web"),
        cluster("shop-us", shop, "us-east", "web"),
        cluster("pay-eu", pay, "eu-west", "core"),
      ),
    );
    clusters.set("shop-eu", await planes.startCluster("shop-eu", { signer: shop }));
    clusters.set("pay-eu", await planes.startCluster("pay-eu", { signer: pay }));
    clusters.set("shop-us", await planes.startCluster("shop-us", { enrolsAt: "shop-eu" }));
    proxy = await TestProxy.join(await planes.clusterToken("shop-us", { kind: "workload", namespace: "web", serviceAccount: "edge" }));
  }, 60_000);

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("gives workloads JWT-SVIDs that are believed in the other clusters of their trust domain", async () => {
    const keyIds = (of: TestProxy): readonly string[] => of.builder.snapshot.current.bundles.get(shop)?.jwtAuthorities?.map(({ keyId }) => keyId) ?? [];
    await eventually("the keys of both clusters are known in one", () => keyIds(proxy).length === 2);
    await using caller = await TestProxy.join(await planes.clusterToken("shop-eu", { kind: "workload", namespace: "web", serviceAccount: "storefront" }));
    await eventually("and in the other", () => keyIds(caller).toSorted().join() === [...keyIds(proxy)].toSorted().join());
    const token = await caller.jwt("edge");
    const expected = { audience: "edge", bundleOf: (trustDomain: TrustDomainName) => proxy.builder.snapshot.current.bundles.get(trustDomain), clock: systemClock };
    expect(await verifyJwtSvid(token, expected)).toMatchObject({ spiffeId: "spiffe://shop.example/ns/web/sa/storefront" });
    await expect(verifyJwtSvid(token, { ...expected, audience: "other" })).rejects.toMatchObject({ code: "ATOLL_TOKEN_REFUSED" });
    expect(proxy.builder.snapshot.current.bundles.get(pay), "there is no relationship").toBeUndefined();
    expect(await clusters.get("shop-eu")?.metrics()).toContain('atoll_svids_issued_total{kind="jwt",plane="shop-eu"} 1');
    expect(await clusters.get("shop-eu")?.metrics()).toContain('atoll_jwt_authorities{trust_domain="shop.example",plane="shop-eu"} 2');
  });

  it("brings an export of one cluster to the proxies of another, with the instances that back it", async () => {
    await exportService("shop-eu", "web", "storefront");
    await eventually("the import is in discovery", () => remotePlaces(storefront).includes("shop-eu"));

    await using backing = await TestProxy.join(await planes.clusterToken("shop-eu", { kind: "workload", namespace: "web", serviceAccount: "storefront" }));
    expect(backing.joined.svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/storefront");
    const ack = await backing.report({ instanceId: "storefront-0", ports: [{ namespace: "web", service: "storefront", port: 80 }] });
    expect(ack.refused).toBe("");
    const place = await eventually("the ready count crosses", () => proxy.service(storefront)?.places.find((one) => one.kind === "remote" && one.endpointsReady === 1));
    expect(place).toMatchObject({ cluster: "shop-eu", region: "eu-west", gatewayIdentity: "spiffe://shop.example/atoll/gateway/shop-eu", endpointsTotal: 1 });
  }, 40_000);

  it("refuses an instance that its identity may not back, and a token used before", async () => {
    const stranger = await proxy.report({ instanceId: "intruder", ports: [{ namespace: "web", service: "storefront", port: 80 }] });
    expect(stranger.refused).not.toBe("");
    const token = await planes.clusterToken("shop-us", { kind: "workload", namespace: "web", serviceAccount: "edge" });
    await using _first = await TestProxy.join(token);
    await expect(TestProxy.join(token)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    expect(await clusters.get("shop-us")?.metrics()).toMatch(/atoll_join_refused_total\{reason="ATOLL_JOIN_TOKEN_REFUSED",plane="shop-us"\} 1/);
  }, 40_000);

  it("shows a foreign service only once both sides have approved the relationship", async () => {
    await exportService("pay-eu", "core", "payments", [pay, shop]);
    const pin = async (name: TrustDomainName): Promise<string> => {
      const { spec } = await at(undefined, (admin) => admin.get("TrustDomain", { name }, signal));
      return createHash("sha256").update(new X509Certificate(spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" })).digest("hex");
    };
    const relationship: Relationship = {
      apiVersion,
      kind: "Relationship",
      metadata: { name: "shop-calls-payments" },
      spec: {
        caller: { trustDomain: shop, authoritySha256: await pin(shop), principals: ["ns/web/sa/edge"] },
        callee: { trustDomain: pay, authoritySha256: await pin(pay), services: ["core/payments"] },
        validUntil: "2099-01-01T00:00:00Z",
      },
    };
    await at(undefined, (admin) => apply(admin, relationship));
    const approve = async (where: string): Promise<void> => {
      await eventually(`the relationship is known in ${where}`, () => at(where, (admin) => admin.get("Relationship", { name: "shop-calls-payments" }, signal)));
      await at(where, (admin) => admin.call(clusterRoutes.approveRelationship, { params: { name: "shop-calls-payments" } }, signal));
    };
    const sides = async (): Promise<readonly string[]> =>
      (await at(undefined, (admin) => admin.get("Relationship", { name: "shop-calls-payments" }, signal))).status?.approvals?.map((approval) => approval.side) ?? [];
    await approve("shop-eu");
    await eventually("the caller's approval is recorded", async () => (await sides()).includes("caller"));
    expect(proxy.service(payments)).toBeUndefined();
    await approve("pay-eu");
    await eventually("both are recorded", async () => (await sides()).length === 2);
    await eventually("the foreign import is in discovery", () => remotePlaces(payments).includes("pay-eu"));
    await eventually("with its trust domain's bundle", () => proxy.builder.snapshot.current.bundles.has(pay));
    await using foreign = await TestProxy.join(await planes.clusterToken("pay-eu", { kind: "workload", namespace: "core", serviceAccount: "payments" }));
    for (const [signer, verifier, id] of [[foreign, proxy, "spiffe://pay.example/ns/core/sa/payments"], [proxy, foreign, "spiffe://shop.example/ns/web/sa/edge"]] as const) {
      const token = await signer.jwt("peer");
      const bundleOf = (trustDomain: TrustDomainName) => verifier.builder.snapshot.current.bundles.get(trustDomain);
      const verified = await eventually(`the token of ${id} is believed`, () => verifyJwtSvid(token, { audience: "peer", bundleOf, clock: systemClock }).catch(() => undefined));
      expect(verified.spiffeId).toBe(id);
    }
    const { body } = await at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal));
    expect(body.relationships).toMatchObject([{ name: "shop-calls-payments", state: "active" }]);
  }, 60_000);

  it("takes an approval back, for good until it is given anew: neither its old signature nor a relationship that is proposed again brings it back", async () => {
    const name = "shop-calls-payments";
    const present = (): Promise<Relationship> => at(undefined, (admin) => admin.get("Relationship", { name }, signal));
    const approvedBy = async (): Promise<readonly string[]> => (await present()).status?.approvals?.map(({ side }) => side) ?? [];
    const before = await present();
    const old = before.status?.approvals?.find(({ side }) => side === "caller");
    if (old === undefined) throw new Error("the caller has not approved");
    const { body: withdrawal } = await at("shop-eu", (admin) => admin.call(clusterRoutes.withdrawApproval, { params: { name } }, signal));
    expect(withdrawal.side).toBe("caller");
    expect(Date.parse(withdrawal.withdrawnAt)).toBeGreaterThan(Date.parse(old.approvedAt));
    // Said again, it is the same word.
    expect((await at("shop-eu", (admin) => admin.call(clusterRoutes.withdrawApproval, { params: { name } }, signal))).body).toEqual(withdrawal);
    await eventually("the approval is taken away", async () => (await approvedBy()).join() === "callee");
    await eventually("another cluster of the trust domain calls it no longer", () => remotePlaces(payments).length === 0);

    await at(undefined, (admin) => admin.call(globalRoutes.recordApproval, { params: { name }, body: old }, signal));
    await eventually("the old signature is taken away again", async () => (await approvedBy()).join() === "callee");
    await at(undefined, (admin) => admin.remove("Relationship", { name }, {}, signal));
    await at(undefined, (admin) => apply(admin, { apiVersion, kind: "Relationship", metadata: { name }, spec: before.spec }));
    await eventually("the other side's standing word is recorded for the same words", async () => (await approvedBy()).includes("callee"));
    expect(await approvedBy()).toEqual(["callee"]);

    await eventually("it is approved anew", () => at("shop-eu", (admin) => admin.call(clusterRoutes.approveRelationship, { params: { name }, query: { generation: 1 } }, signal)));
    await eventually("both approve again", async () => (await approvedBy()).length === 2);
    await eventually("the service is called again", () => remotePlaces(payments).includes("pay-eu"));
  }, 60_000);

  it("signs no other form than the one that was read", async () => {
    const approve = (generation: number) => at("shop-eu", (admin) => admin.call(clusterRoutes.approveRelationship, { params: { name: "shop-calls-payments" }, query: { generation } }, signal));
    await expect(approve(2)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND", message: expect.stringContaining("has not reached this cluster") });
    const changed = await at(undefined, async (admin) => {
      const present = await admin.get("Relationship", { name: "shop-calls-payments" }, signal);
      await admin.apply({ ...present, spec: { ...present.spec, caller: { ...present.spec.caller, principals: ["*"] } } }, {}, signal);
      return present;
    });
    await eventually("the wider form has reached the signer", async () => (await at("shop-eu", (admin) => admin.get("Relationship", { name: "shop-calls-payments" }, signal))).spec.caller.principals.includes("*"));
    await expect(approve(1)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT", message: expect.stringContaining("is at generation 2, and generation 1 was to be approved") });
    await at(undefined, (admin) => apply(admin, changed));
    await eventually("the narrow form stands, approved as it was", () => remotePlaces(payments).includes("pay-eu"));
    await expect(at("shop-us", (admin) => admin.call(clusterRoutes.withdrawApproval, { params: { name: "shop-calls-payments" } }, signal))).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(at("shop-eu", (admin) => admin.call(clusterRoutes.withdrawApproval, { params: { name: "never-heard-of" } }, signal))).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
  }, 60_000);

  it("keeps everything over restarts: a restarted plane never shows less than it did", async () => {
    await clusters.get("shop-us")?.stop();
    await global.stop();
    const before = proxy.builder.snapshot.current.services.size;
    clusters.set("shop-us", await planes.startCluster("shop-us", { enrolsAt: "shop-eu" }));
    proxy = await proxy.moveTo(clusters.get("shop-us")?.ports["discovery"] ?? 0);
    await eventually("discovery answers again", () => proxy.stats.acks >= 3);
    expect(Math.min(...proxy.serviceCounts)).toBe(before);
    expect(remotePlaces(storefront)).toContain("shop-eu");

    // The exporter restarts while nobody relays; what it says afterwards is what it said before.
    await clusters.get("shop-eu")?.stop();
    clusters.set("shop-eu", await planes.startCluster("shop-eu", { signer: shop }));
    global = await planes.startGlobal();
    await eventually("all clusters are heard and level", async () => {
      const { body } = await at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal));
      return body.clusters.every((row) => row.connected && row.lagMs === 0) && body.services.length === 2;
    });
    expect(Math.min(...proxy.serviceCounts)).toBe(before);
    expect(remotePlaces(payments)).toContain("pay-eu");
  }, 90_000);

  it("loses and regains the leadership in one process, without showing less", async () => {
    const before = proxy.builder.snapshot.current.services.size;
    await planes.loseLeadership("shop-eu");
    await planes.loseLeadership("global");
    await eventually("all clusters are heard again", async () => {
      const { body } = await at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal));
      return body.clusters.every((row) => row.connected && row.lagMs === 0) && body.services.length === 2;
    });
    expect(await global.metrics()).toMatch(/atoll_leader\{plane="global"\} 1/);
    expect(Math.min(...proxy.serviceCounts)).toBe(before);
  }, 60_000);

  it("withdraws an export everywhere, and what a deleted cluster said", async () => {
    await at("shop-eu", (admin) => admin.remove("ServiceExport", { namespace: "web", name: "storefront" }, {}, signal));
    await eventually("the withdrawn export is gone", () => !remotePlaces(storefront).includes("shop-eu"));
    await at(undefined, (admin) => admin.remove("Cluster", { name: "pay-eu" }, {}, signal));
    await eventually("the deleted cluster's export is gone", () => !remotePlaces(payments).includes("pay-eu"));
    // What its signer says from now on, nobody hears; its approval is on record and can be taken back all the same.
    const approvedBy = async (): Promise<readonly string[]> => (await at(undefined, (admin) => admin.get("Relationship", { name: "shop-calls-payments" }, signal))).status?.approvals?.map(({ side }) => side) ?? [];
    expect(await approvedBy()).toEqual(["callee", "caller"]);
    using signer = planes.admin("pay-eu");
    using admin = planes.admin();
    expect(await withdrawApproval({ signer, global: admin }, "shop-calls-payments", { clock: systemClock, withinMs: 30_000 }, signal)).toBe(true);
    expect(await approvedBy()).toEqual(["caller"]);
    expect(await withdrawApproval({ signer, global: admin }, "never-heard-of", { clock: systemClock, withinMs: 30_000 }, signal)).toBe(false);
  }, 40_000);
});
