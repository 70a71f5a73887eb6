import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { approveRelationship, authoritySha256Of, withdrawApproval } from "#federation/admin-api/relationship-client.ts";
import type { RelationshipRow } from "#federation/admin-api/status.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Relationship, type RelationshipSpec, type Resource } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, shop } from "./shop-resources.ts";
import { TestProxy } from "./test-proxy.ts";

const { signal } = new AbortController();
const pay = "pay.example" as TrustDomainName;
const name = "checkout";
const signers = { [shop]: "shop-eu", [pay]: "pay-eu" } as const;
const patience = { clock: systemClock, withinMs: 30_000 };

const cluster = (id: string, trustDomain: TrustDomainName, namespace: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name: id },
  spec: { region: "eu-west" as RegionId, trustDomain, exportNamespaces: [namespace], gateways: [{ address: "127.0.0.1", port: 15_443 }] },
});
const exportedByPay = (service: string): readonly Resource[] => [
  { apiVersion, kind: "Service", metadata: { namespace: "core", name: service }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["worker"] } },
  { apiVersion, kind: "ServiceExport", metadata: { namespace: "core", name: service }, spec: { consumers: [{ trustDomain: pay }, { trustDomain: shop }] } },
];

const sees = (proxy: TestProxy, service: string): boolean => proxy.service(`${service}.core.svc.pay.example`)?.places.some((place) => place.kind === "remote") === true;
/** Who of the shop's may call, by the callee's own sidecar. */
const callersOf = (proxy: TestProxy, service: string): readonly string[] =>
  proxy.builder.snapshot.current.inbound.get(`p80.${service}.core.svc.pay.example`)?.callers.flatMap(({ trustDomain, principals }) => (trustDomain === shop ? principals : [])) ?? [];

/** Looks at each state of `proxy` until it is asked how many of them did not do. */
function watched(proxy: TestProxy, does: () => boolean): () => Promise<number> {
  const stop = new AbortController();
  let misses = 0;
  const watching = (async () => {
    for await (const _ of proxy.builder.snapshot.changes(stop.signal)) if (!does()) misses++;
  })();
  return async () => {
    stop.abort();
    await watching;
    return misses + (does() ? 0 : 1);
  };
}

describe("a relationship whose next terms are not agreed yet", () => {
  const edge = "spiffe://shop.example/ns/web/sa/edge";
  let planes: InProcessPlanes;
  let caller: TestProxy;
  let callee: TestProxy;
  /** Of a cluster that joins later. */
  let late: TestProxy;
  let global: RunningPlane;
  let payPlane: RunningPlane;
  let marks = 0;

  const present = async (where?: string): Promise<Relationship> => await planes.at(where, (admin) => admin.get("Relationship", { name }, signal));
  const row = async (): Promise<RelationshipRow | undefined> => (await planes.at(undefined, async (admin) => (await admin.call(globalRoutes.status, {}, signal)).body)).relationships.find((one) => one.name === name);
  const propose = async (change: (spec: RelationshipSpec) => RelationshipSpec): Promise<Relationship> => {
    const before = await present();
    // What a plane only shows may be sent back to it, and is not stored.
    const proposed = await planes.at(undefined, async (admin) => (await admin.apply<"Relationship">({ ...before, spec: change(before.spec) }, {}, signal)).resource);
    for (const where of Object.values(signers)) await eventually(`${where} has heard of it`, async () => (await present(where)).metadata.generation === proposed.metadata.generation);
    return proposed;
  };
  const until = (validUntil: string) => (spec: RelationshipSpec) => ({ ...spec, validUntil });
  const opening = (...services: readonly string[]) => (spec: RelationshipSpec) => ({ ...spec, callee: { ...spec.callee, services: services.map((service) => `core/${service}`) } });
  const approve = async (side: keyof typeof signers): Promise<void> => {
    using signer = planes.admin(signers[side]);
    using admin = planes.admin();
    await approveRelationship({ signer, global: admin }, await present(), patience, signal);
  };
  /** Resolves when the callee has been told what its plane has done after all that it was told before. */
  const toldAnew = async (): Promise<void> => {
    const mark = `mark-${marks++}`;
    await planes.at("pay-eu", (admin) => applyAll(admin, exportedByPay(mark).slice(0, 1)));
    await eventually("the callee is told the latest", () => callee.builder.snapshot.current.inbound.has(`p80.${mark}.core.svc.pay.example`));
  };
  const join = async (where: string, namespace: string, serviceAccount: string): Promise<TestProxy> => await TestProxy.join(await planes.clusterToken(where, { kind: "workload", namespace, serviceAccount }));
  const atoll = async (...args: readonly string[]) => await planes.atoll(planes.writePlaneFile(["shop-eu", "pay-eu"], signers), ...args);

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    global = await planes.startGlobal();
    await planes.at(undefined, (admin) => applyAll(admin, [euWest, cluster("shop-eu", shop, "web"), cluster("shop-us", shop, "web"), cluster("pay-eu", pay, "core")]));
    await planes.startCluster("shop-eu", { signer: shop });
    payPlane = await planes.startCluster("pay-eu", { signer: pay });
    await planes.at("pay-eu", (admin) => applyAll(admin, [...exportedByPay("payments"), ...exportedByPay("ledger")]));
    const pin = async (trustDomain: TrustDomainName): Promise<string> => authoritySha256Of(await planes.at(undefined, (admin) => admin.get("TrustDomain", { name: trustDomain }, signal)));
    const spec = {
      caller: { trustDomain: shop, authoritySha256: await pin(shop), principals: ["ns/web/sa/edge"] },
      callee: { trustDomain: pay, authoritySha256: await pin(pay), services: ["core/payments"] },
      validUntil: "2099-01-01T00:00:00Z",
    };
    await planes.at(undefined, (admin) => applyAll(admin, [{ apiVersion, kind: "Relationship", metadata: { name }, spec }]));
    caller = await join("shop-eu", "web", "edge");
    callee = await join("pay-eu", "core", "worker");
    await approve(shop);
    await approve(pay);
    await eventually("what was agreed holds", () => sees(caller, "payments") && callersOf(callee, "payments").includes(edge));
  }, 90_000);

  afterAll(async () => {
    for (const proxy of [caller, callee, late]) await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("holds as it was agreed while its end is extended, also over restarts and for a cluster that joins meanwhile", async () => {
    const missesHere = watched(caller, () => sees(caller, "payments"));
    const missesThere = watched(callee, () => callersOf(callee, "payments").join() === edge);
    await propose(until("2100-01-01T00:00:00Z"));
    expect(await row()).toMatchObject({ state: "active", validUntil: "2099-01-01T00:00:00Z", proposed: { validUntil: "2100-01-01T00:00:00Z", waitsFor: [shop, pay] } });
    await toldAnew();
    await approve(shop);
    expect(await row()).toMatchObject({ state: "active", validUntil: "2099-01-01T00:00:00Z", proposed: { waitsFor: [pay] } });
    const { status } = await present("pay-eu");
    expect(status?.inForce?.terms.validUntil).toBe("2099-01-01T00:00:00Z");
    expect(status?.conditions).toMatchObject([{ type: "Agreed", status: "False", message: "what is proposed, until 2100-01-01T00:00:00Z, waits for the approval of pay.example" }, { type: "InForce", status: "True", reason: "Agreed" }]);

    const joined = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    late = await join("shop-us", "web", "edge");
    await eventually("a cluster that joins now learns what was agreed", () => sees(late, "payments"));
    await planes.loseLeadership("global");
    await joined.stop();
    late = await late.moveTo((await planes.startCluster("shop-us", { enrolsAt: "shop-eu" })).ports["discovery"] ?? 0);
    await eventually("discovery answers again", () => late.stats.acks > 0);
    expect(sees(late, "payments")).toBe(true);
    await eventually("all are heard again", async () => (await planes.at(undefined, async (admin) => (await admin.call(globalRoutes.status, {}, signal)).body)).clusters.every((one) => one.connected && one.lagMs === 0));
    expect(await row()).toMatchObject({ state: "active", proposed: { waitsFor: [pay] } });

    await approve(pay);
    expect(await row()).toMatchObject({ state: "active", validUntil: "2100-01-01T00:00:00Z" });
    expect((await row())?.proposed).toBeUndefined();
    await eventually("the callee's cluster goes by the later end", async () => (await present("pay-eu")).status?.inForce?.terms.validUntil === "2100-01-01T00:00:00Z");
    expect([await missesHere(), await missesThere()]).toEqual([0, 0]);
  }, 120_000);

  it("is wider once both have approved that, and narrower at once and without them; what was agreed comes back with the words", async () => {
    const misses = watched(caller, () => sees(caller, "payments"));
    const early = watched(caller, () => !sees(caller, "ledger"));
    const earlyThere = watched(callee, () => callersOf(callee, "ledger").length === 0);
    await propose(opening("payments", "ledger"));
    await approve(pay);
    expect((await row())?.proposed?.waitsFor).toEqual([shop]);
    await toldAnew();
    expect([await early(), await earlyThere()]).toEqual([0, 0]);
    await approve(shop);
    await eventually("both services are called", () => sees(caller, "ledger") && callersOf(callee, "ledger").includes(edge));

    await propose(opening("payments"));
    await eventually("the narrower terms count, on both sides", () => !sees(caller, "ledger") && callersOf(callee, "ledger").length === 0);
    expect((await row())?.proposed).toBeUndefined();
    await propose(opening("payments", "ledger"));
    await eventually("what both have approved before holds again", () => sees(caller, "ledger") && callersOf(callee, "ledger").includes(edge));

    // A side that has signed the narrower terms is not widened again without its word.
    await propose(opening("payments"));
    await approve(pay);
    await eventually("the ledger is closed", () => !sees(caller, "ledger") && callersOf(callee, "ledger").length === 0);
    const still = watched(callee, () => callersOf(callee, "ledger").length === 0);
    await propose(opening("payments", "ledger"));
    expect((await row())?.proposed?.waitsFor).toEqual([pay]);
    await toldAnew();
    expect(await still()).toBe(0);
    await propose(opening("payments"));
    expect(await misses()).toBe(0);
  }, 120_000);

  it("is approved in the form that was shown and in no other, by whoever asks for it", async () => {
    const shown = await present();
    await propose(until("2101-01-01T00:00:00Z"));
    using signer = planes.admin("shop-eu");
    using admin = planes.admin();
    await expect(approveRelationship({ signer, global: admin }, shown, patience, signal)).rejects.toMatchObject({ code: "ATOLL_TERMS_DIFFER" });
    await expect(signer.call(clusterRoutes.approveRelationship, { params: { name }, query: { termsSha256: "0".repeat(64) } }, signal)).rejects.toMatchObject({ code: "ATOLL_TERMS_DIFFER", message: expect.stringContaining("nothing was signed") });
    expect((await row())?.proposed?.waitsFor).toEqual([shop, pay]);

    const { out } = await atoll("relationship", "show", name);
    expect(out).toMatch(/in force +since .*: ns\/web\/sa\/edge of shop\.example may call core\/payments of pay\.example until 2100-01-01T00:00:00Z/);
    expect(out).toMatch(/waits for the approval of shop\.example and of pay\.example/);
    const [, digest = ""] = /proposed +generation \d+, terms ([0-9a-f]+): .* until 2101-01-01T00:00:00Z/.exec(out) ?? [];
    const other = await atoll("relationship", "approve", name, "--as", shop, "--terms", "0000000000");
    expect([other.code, other.err]).toEqual([1, expect.stringContaining("nothing was signed")]);
    const both = await atoll("relationship", "approve", name, "--as", shop, "--as", pay, "--terms", digest);
    expect(both).toMatchObject({ code: 0, out: expect.stringMatching(/until 2101-01-01T00:00:00Z\nshop\.example has approved relationship checkout\npay\.example has approved/) });
    expect(await row()).toMatchObject({ state: "active", validUntil: "2101-01-01T00:00:00Z" });
  }, 60_000);

  it("is named before it ends: in a check, and by a metric with the time of its end", async () => {
    const end = new Date(systemClock.nowMs() + 10 * 86_400_000).toISOString();
    const value = `atoll_relationship_expiry_timestamp_seconds{relationship="${name}",plane="global"} ${Date.parse(end) / 1_000}`;
    expect((await atoll("check")).out).not.toMatch(/checkout/);
    await propose(until(end));
    expect((await atoll("check")).out).toMatch(/relationship checkout of shop\.example and pay\.example ends in 10 d, at /);
    await eventually("the global plane shows the end", async () => (await global.metrics()).includes(value));
    await eventually("so does a cluster's", async () => (await payPlane.metrics()).includes(value.replace('plane="global"', 'plane="pay-eu"')));
    await propose(until("2101-01-01T00:00:00Z"));
    expect(await row()).toMatchObject({ validUntil: "2101-01-01T00:00:00Z" });
  }, 60_000);

  it("ends at once with the word of one side, what was agreed and what is proposed alike, and is not brought back by an edit", async () => {
    const agreed = (await present()).spec;
    await propose(until("2102-01-01T00:00:00Z"));
    await approve(pay);
    expect(sees(caller, "payments")).toBe(true);
    using signer = planes.admin("shop-eu");
    using admin = planes.admin();
    expect(await withdrawApproval({ signer, global: admin }, name, patience, signal)).toBe(true);
    await eventually("nobody calls any more, on both sides", () => [caller, late].every((proxy) => !sees(proxy, "payments")) && callersOf(callee, "payments").length === 0);
    const still = watched(callee, () => callersOf(callee, "payments").length === 0);
    await propose(() => agreed);
    expect(await row()).toMatchObject({ state: "waitingForApproval" });
    await toldAnew();
    expect(await still()).toBe(0);
    await approve(shop);
    await approve(pay);
    await eventually("it holds again once both have approved it anew", () => sees(caller, "payments") && callersOf(callee, "payments").includes(edge));

    await propose(until("2102-01-01T00:00:00Z"));
    await planes.at(undefined, (admin) => admin.remove("Relationship", { name }, {}, signal));
    await eventually("it ends when it is deleted, whatever was agreed", () => !sees(caller, "payments") && callersOf(callee, "payments").length === 0);
  }, 120_000);
});
