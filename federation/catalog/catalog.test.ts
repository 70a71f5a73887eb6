import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { itemsPerTurn } from "#federation/runtime/turns.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { parseClusterId, parseRegionId } from "#federation/model/names.ts";
import { apiVersion, importMetadata, type Cluster, type ServiceImport } from "#federation/model/resource.ts";
import { parseTrustDomainName, createWorkloadId } from "#federation/model/spiffe-id.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store, StoreCondition } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { CatalogFault } from "./catalog-access.ts";
import { Catalog, objectId } from "./catalog.ts";
import { jsonBytes } from "./json-codec.ts";
import { keys } from "./keys.ts";
import type { AppliedPosition, ObjectRecord } from "./records.ts";

const signal = new AbortController().signal;
const shop = parseTrustDomainName("shop.example");
const stores: Store[] = [];

afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
});

async function openCatalog(fence?: () => readonly StoreCondition[]) {
  const store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  stores.push(store);
  const faults: CatalogFault[] = [];
  const clock = new VirtualClock();
  const catalog = new Catalog({ store, clock, onFault: (fault) => faults.push(fault), ...(fence === undefined ? {} : { fence }) });
  return { store, catalog, clock, faults };
}

function cluster(name: string, exportNamespaces: readonly string[] = ["web"]): Cluster {
  return {
    apiVersion,
    kind: "Cluster",
    metadata: { name },
    spec: { region: parseRegionId("eu-west"), trustDomain: shop, exportNamespaces, gateways: [] },
  };
}

describe("resources", () => {
  it("are created at generation 1 and answer what was written, with revision and time of creation", async () => {
    const { catalog, clock } = await openCatalog();
    const { outcome, resource } = await catalog.resources("Cluster").apply(cluster("shop-eu"), {}, signal);
    expect(outcome).toBe("created");
    expect(resource.metadata).toEqual({ name: "shop-eu", generation: 1, revision: expect.any(Number), createdAt: new Date(clock.nowMs()).toISOString() });
    const read = await catalog.resources("Cluster").get("shop-eu", signal);
    expect(read).toEqual({ id: "shop-eu", revision: resource.metadata.revision, value: resource });
  });

  it("gain a generation when the spec changes, none when only labels do, and are not written when nothing does", async () => {
    const { catalog } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    const created = await clusters.apply(cluster("shop-eu"), {}, signal);
    const same = await clusters.apply(cluster("shop-eu"), {}, signal);
    expect(same.outcome).toBe("unchanged");
    expect(same.resource).toEqual(created.resource);
    const labelled = await clusters.apply({ ...cluster("shop-eu"), metadata: { name: "shop-eu", labels: { team: "shop" } } }, {}, signal);
    expect(labelled).toMatchObject({ outcome: "changed", resource: { metadata: { generation: 1, labels: { team: "shop" } } } });
    const changed = await clusters.apply(cluster("shop-eu", ["web", "core"]), {}, signal);
    expect(changed).toMatchObject({ outcome: "changed", resource: { metadata: { generation: 2 } } });
    expect(changed.resource.metadata.labels).toBeUndefined();
  });

  it("are refused when the revision that the writer read is not the present one", async () => {
    const { catalog } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    const { resource } = await clusters.apply(cluster("shop-eu"), { ifRevision: 0 }, signal);
    const ifRevision = resource.metadata.revision ?? 0;
    await expect(clusters.apply(cluster("shop-eu", []), { ifRevision: 0 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    await expect(clusters.remove("shop-eu", { ifRevision: ifRevision + 1 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect(await clusters.remove("shop-eu", { ifRevision }, signal)).toBe(true);
    expect(await clusters.remove("shop-eu", {}, signal)).toBe(false);
    await expect(clusters.remove("shop-eu", { ifRevision }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
  });

  it("all keep their place when many writers apply and set status at once", async () => {
    const { catalog } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    await clusters.apply(cluster("shop-eu"), {}, signal);
    const condition = { type: "Ready", status: "True", reason: "Connected", message: "", observedGeneration: 1, lastTransitionTime: "2026-01-01T00:00:00Z" } as const;
    await Promise.all([
      clusters.setStatus("shop-eu", () => ({ conditions: [condition] }), signal),
      clusters.apply(cluster("shop-eu", ["a"]), {}, signal),
      clusters.apply(cluster("shop-eu", ["b"]), {}, signal),
    ]);
    const read = await clusters.get("shop-eu", signal);
    expect(read?.value.status?.conditions).toEqual([condition]);
    expect(read?.value.metadata.generation).toBe(3);
  });

  it("keep their status over an apply, and the user's status is ignored", async () => {
    const { catalog } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    await clusters.apply({ ...cluster("shop-eu"), status: { conditions: [] } }, {}, signal);
    expect((await clusters.get("shop-eu", signal))?.value.status).toBeUndefined();
    await clusters.setStatus("shop-eu", () => ({ conditions: [] }), signal);
    await clusters.apply(cluster("shop-eu", ["a"]), {}, signal);
    expect((await clusters.get("shop-eu", signal))?.value.status).toEqual({ conditions: [] });
    expect(await clusters.setStatus("gone", () => ({}), signal)).toBeUndefined();
  });

  it("that cannot be read are reported and left out, and applying them again repairs them", async () => {
    const { catalog, store, faults } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    await clusters.apply(cluster("good"), {}, signal);
    const bad = (name: string, value: Uint8Array) => ({ kind: "put", key: keys.resources("Cluster") + name, value }) as const;
    await store.commit({ conditions: [], writes: [bad("broken", Uint8Array.of(0xff, 0x00)), bad("other-name", jsonBytes(cluster("good")))] }, signal);
    const { items } = await clusters.list(signal);
    expect(items.map((item) => item.id)).toEqual(["good"]);
    expect(faults.map((fault) => fault.key)).toEqual([keys.resources("Cluster") + "broken", keys.resources("Cluster") + "other-name"]);
    expect(await clusters.get("broken", signal)).toBeUndefined();
    await clusters.apply(cluster("broken"), {}, signal);
    expect((await clusters.get("broken", signal))?.value.spec).toEqual(cluster("broken").spec);
  });

  it("written by a later version are read without the fields that this one does not know", async () => {
    const { catalog, store, faults } = await openCatalog();
    const later = { ...cluster("shop-eu"), spec: { ...cluster("shop-eu").spec, colour: "red" }, notes: 1 };
    await store.commit({ conditions: [], writes: [{ kind: "put", key: keys.resources("Cluster") + "shop-eu", value: jsonBytes(later) }] }, signal);
    expect((await catalog.resources("Cluster").get("shop-eu", signal))?.value.spec).toEqual(cluster("shop-eu").spec);
    expect(faults).toEqual([]);
  });

  it("are not written once the fence no longer holds", async () => {
    let term = 0;
    const { catalog, store } = await openCatalog(() => [{ kind: "createRevision", key: keys.leader, revision: term }]);
    const begun = await store.commit({ conditions: [], writes: [{ kind: "put", key: keys.leader, value: Uint8Array.of(1) }] }, signal);
    term = begun.kind === "committed" ? begun.revision : 0;
    await catalog.resources("Cluster").apply(cluster("one"), {}, signal);
    await store.commit({ conditions: [], writes: [{ kind: "delete", key: keys.leader }] }, signal);
    await expect(catalog.resources("Cluster").apply(cluster("two"), {}, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect(await catalog.resources("Cluster").get("two", signal)).toBeUndefined();
  });
});

describe("a view", () => {
  it("follows puts and deletes, and keeps the earlier value of one that can no longer be read", async () => {
    const { catalog, store, faults } = await openCatalog();
    const clusters = catalog.resources("Cluster");
    await clusters.apply(cluster("a"), {}, signal);
    const view = clusters.view();
    expect(view.state.current.loaded).toBe(false);
    const stop = new AbortController();
    const running = runTasks([view.run], stop.signal);
    const until = async (check: (ids: readonly string[]) => boolean): Promise<void> => {
      for await (const state of view.state.changes(stop.signal)) if (state.loaded && check([...state.items.keys()])) return;
    };
    await until((ids) => ids.join() === "a");
    await store.commit({ conditions: [], writes: [{ kind: "put", key: keys.resources("Cluster") + "a", value: Uint8Array.of(1) }] }, signal);
    await clusters.apply(cluster("b"), {}, signal);
    await until((ids) => ids.join() === "a,b");
    expect(faults).toHaveLength(1);
    await clusters.remove("a", {}, signal);
    await until((ids) => ids.join() === "b");
    stop.abort();
    await running;
  });

  it("shows what it has read of many at first, and of what changes later no part", async () => {
    const { catalog } = await openCatalog();
    const count = 3 * itemsPerTurn;
    const position = (publisher: string): AppliedPosition => ({ publisher, epoch: 1, term: 1, stream: "s", seq: 1, floorEpoch: 1, floorRevision: 1, appliedAtMs: 1 });
    const names = Array.from({ length: count }, (_, index) => `p${index}`);
    for (let start = 0; start < count; start += itemsPerTurn) {
      await catalog.commit(names.slice(start, start + itemsPerTurn).map((name) => catalog.positions.putOp(name, position(name))), signal);
    }
    const view = catalog.positions.view();
    const stop = new AbortController();
    const seen: (readonly [number, boolean])[] = [];
    const watching = (async () => {
      for await (const { items, loaded } of view.state.changes(stop.signal)) seen.push([items.size, loaded]);
    })();
    const running = runTasks([view.run], stop.signal);
    await expect.poll(() => view.state.current.loaded).toBe(true);
    expect(seen.some(([size, loaded]) => size > 0 && size < count && !loaded)).toBe(true);
    expect(seen.every(([size, loaded]) => loaded === (size === count))).toBe(true);
    const whole: number[] = [];
    for await (const { puts } of catalog.positions.changes(stop.signal)) {
      whole.push(puts.length);
      break;
    }
    expect(whole).toEqual([count]);
    expect((await catalog.positions.list(signal)).items).toHaveLength(count);
    stop.abort();
    await Promise.all([watching, running]);
  });
});

describe("records", () => {
  const object: ObjectRecord = {
    origin: "pay-eu-1",
    kind: "ServiceExport",
    key: "core/payments",
    epoch: 1,
    revision: 9,
    audience: ["shop.example", "cluster:shop-eu"],
    tombstone: false,
    signed: Uint8Array.of(0, 255, 7),
    appliedAtMs: 5,
  };

  it("of a signed object, its import and the position are written at one revision or not at all", async () => {
    const { catalog } = await openCatalog();
    const spec = {
      namespace: "core",
      name: "payments",
      trustDomain: parseTrustDomainName("pay.example"),
      cluster: parseClusterId("pay-eu-1"),
      region: parseRegionId("eu-west"),
      ports: [{ name: "http", port: 80, protocol: "http" }],
      serverIdentities: [createWorkloadId(parseTrustDomainName("pay.example"), "core", "payments")],
      gateways: [{ address: "127.0.0.1", port: 15443 }],
      endpointsReady: 2,
      endpointsTotal: 2,
      asOfMs: 1,
      origin: { epoch: 1, revision: 9 },
      appliedAtMs: 5,
    } as const;
    const imported: ServiceImport = { apiVersion, kind: "ServiceImport", metadata: importMetadata(spec), spec };
    const position = { publisher: "global", epoch: 1, term: 1, stream: "s", seq: 4, floorEpoch: 1, floorRevision: 0, appliedAtMs: 5 };
    const ops = [
      catalog.objects.putOp(objectId(object), object),
      catalog.resources("ServiceImport").putOp(imported),
      catalog.positions.putOp("global", position, { ifRevision: 0 }),
    ];
    const revision = await catalog.commit(ops, signal);
    expect(await catalog.objects.get("pay-eu-1/ServiceExport/core/payments", signal)).toEqual({ id: objectId(object), value: object, revision });
    expect((await catalog.resources("ServiceImport").get("core/payments.pay-eu-1", signal))?.value.spec).toEqual(spec);
    await expect(catalog.commit(ops, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect((await catalog.objects.get(objectId(object), signal))?.revision).toBe(revision);
  });

  it("refuse ids that would reach outside their collection", async () => {
    const { catalog } = await openCatalog();
    for (const id of ["", "a//b", "/a", "a/", "a\0b", "ä", "x".repeat(2_000)]) {
      expect(() => catalog.objects.removeOp(id), id).toThrow(expect.objectContaining({ code: "ATOLL_NAME_INVALID" }));
    }
  });

  it("of endpoints and the epoch read back as written", async () => {
    const { catalog } = await openCatalog();
    const endpoint = {
      instanceId: "storefront-1",
      identity: createWorkloadId(shop, "web", "storefront"),
      ports: [{ namespace: "web", service: "storefront", port: 80 }],
      address: "127.0.0.1",
      inboundPort: 15006,
      weight: 1,
      ready: true,
      registeredAtMs: 3,
    };
    await catalog.endpoints.put(endpoint.instanceId, endpoint, {}, signal);
    expect((await catalog.endpoints.list(signal)).items.map((item) => item.value)).toEqual([endpoint]);
    expect(await catalog.epoch(signal)).toBeUndefined();
    await catalog.setEpoch({ epoch: 3, startedAtMs: 1 }, signal);
    expect((await catalog.epoch(signal))?.value).toEqual({ epoch: 3, startedAtMs: 1 });
  });
});

describe("join tokens", () => {
  const secret = new Uint8Array(32).fill(7);
  const request = { id: "t1", secret, purpose: { kind: "gateway" }, lifeMs: 60_000 } as const;

  it("work once, also when two come at the same moment", async () => {
    const { catalog } = await openCatalog();
    await catalog.joinTokens.create(request, 1_000, signal);
    const outcomes = await Promise.allSettled([1, 2, 3].map(async () => await catalog.joinTokens.consume("t1", secret, 2_000, signal)));
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled").map((outcome) => outcome.value)).toEqual([{ kind: "gateway" }]);
  });

  it("give one and the same answer whatever is wrong, and a wrong guess does not use them up", async () => {
    const { catalog } = await openCatalog();
    await catalog.joinTokens.create(request, 1_000, signal);
    const answers = await Promise.all(
      [
        catalog.joinTokens.consume("t2", secret, 2_000, signal),
        catalog.joinTokens.consume("../t1", secret, 2_000, signal),
        catalog.joinTokens.consume("t1", new Uint8Array(32), 2_000, signal),
        catalog.joinTokens.consume("t1", secret, 61_000, signal),
      ].map(async (answer) => await answer.then(() => "accepted", (error: unknown) => String(error))),
    );
    expect(new Set(answers)).toEqual(new Set(["AtollError: the join token cannot be used"]));
    expect(await catalog.joinTokens.consume("t1", secret, 60_999, signal)).toEqual({ kind: "gateway" });
  });

  it("keep no secret at rest, live ten minutes at most, and expired ones are swept", async () => {
    const { catalog, store } = await openCatalog();
    await expect(catalog.joinTokens.create({ ...request, lifeMs: 600_001 }, 0, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(catalog.joinTokens.create({ ...request, secret: new Uint8Array(16) }, 0, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await catalog.joinTokens.create(request, 1_000, signal);
    const [entry] = (await store.list(keys.joinTokens, signal)).entries;
    expect(Buffer.from(entry?.value ?? []).includes(Buffer.from(secret).toString("base64url"))).toBe(false);
    await catalog.joinTokens.create({ ...request, id: "t2" }, 61_000, signal);
    expect((await store.list(keys.joinTokens, signal)).entries.map((found) => found.key)).toEqual([`${keys.joinTokens}t2`]);
  });
});
