import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import { openTestCatalog, settled, type TestCatalog } from "../catalog-fixture.ts";
import { clusterState, service } from "../cluster-state-fixture.ts";
import { Registry } from "./registry.ts";

const { self } = clusterState();
const identity = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const limits = { ttlMs: 9_000, reattachWindowMs: 60_000 };
const report = (instanceId: string, over: Partial<SessionReport> = {}): SessionReport => ({
  instanceId,
  ports: [{ namespace: "web", service: "storefront", port: 80 }],
  address: "10.0.0.1",
  inboundPort: 15_006,
  zone: "",
  weight: 1,
  ready: true,
  draining: false,
  ...over,
});

describe("Registry", () => {
  let test: TestCatalog;
  let clock: VirtualClock;
  let stop: AbortController;
  let running: Promise<void>;
  const { signal } = new AbortController();

  async function start(): Promise<Registry> {
    stop = new AbortController();
    const services = test.catalog.resources("Service").view();
    const registry = new Registry({ self, endpoints: test.catalog.endpoints, services: services.state, limits, clock, logger: silentLogger });
    running = runTasks([services.run, (inner) => registry.follow(inner), (inner) => registry.lookOver(inner)], stop.signal);
    await settled(clock);
    expect(registry.loaded.current).toBe(true);
    return registry;
  }
  const seen = (registry: Registry): readonly string[] => [...registry.state.current.values()].map(({ record, attached }) => `${record.instanceId} ${attached ? "attached" : "unknown"}`);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };

  beforeEach(async () => {
    clock = new VirtualClock();
    test = await openTestCatalog(clock);
    await test.catalog.resources("Service").apply(service("web", "storefront"), {}, signal);
  });
  afterEach(async () => {
    await end();
    await test[Symbol.asyncDispose]();
  });

  it("keeps an instance over the plane's restart: unknown at first, attached with its next report", async () => {
    const before = await start();
    expect(await before.openSession(identity).report(report("a"), signal)).toEqual({ ttlMs: 9_000, refused: "", nowMs: clock.nowMs() });
    expect(seen(before)).toEqual(["a attached"]);
    await end();
    const after = await start();
    expect(seen(after)).toEqual(["a unknown"]);
    await after.openSession(identity).report(report("a"), signal);
    expect(seen(after)).toEqual(["a attached"]);
  });

  it("makes an instance unknown when its reports stop or its stream ends, and holds the last one for ever", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    await session.report(report("a"), signal);
    await clock.advance(limits.ttlMs + 1_500);
    expect(seen(registry)).toEqual(["a unknown"]);
    await session.report(report("a"), signal);
    session.end();
    expect(seen(registry)).toEqual(["a unknown"]);
    await clock.advance(10 * limits.reattachWindowMs);
    expect(seen(registry)).toEqual(["a unknown"]);
  });

  it("sweeps the silent up to the brake once their window is over, never those that came back", async () => {
    const registry = await start();
    const ids = Array.from({ length: 10 }, (_, index) => `i${index}`);
    const sessions = new Map(ids.map((id) => [id, registry.openSession(identity)]));
    for (const [id, session] of sessions) await session.report(report(id), signal);
    for (const id of ["i0", "i1"]) sessions.get(id)?.end();
    for (let turn = 0; turn < 12; turn++) {
      await clock.advance(6_000);
      for (const id of ids.slice(1)) await sessions.get(id)?.report(report(id), signal);
    }
    await settled(clock);
    expect(seen(registry)).toEqual(ids.slice(1).map((id) => `${id} attached`));
  });

  it("removes an instance at its owner's word at once", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    await session.report(report("a"), signal);
    expect((await session.report(report("a", { draining: true }), signal)).refused).toBe("");
    expect(seen(registry)).toEqual([]);
    expect((await test.catalog.endpoints.list(signal)).items).toEqual([]);
  });

  it("knows the overload that instances said last, stores none of it, and forgets it with their session", async () => {
    const registry = await start();
    const [a, b] = [registry.openSession(identity), registry.openSession(identity)];
    const overloaded = (admits: number, asked: number): Partial<SessionReport> => ({ ports: [{ namespace: "web", service: "storefront", port: 80, admits, asked }] });
    await b.report(report("b", overloaded(20, 60)), signal);
    await a.report(report("a", overloaded(10, 30)), signal);
    const { current } = registry.state;
    await a.report(report("a", overloaded(11, 40)), signal);
    expect(registry.overloads).toEqual([
      { instance: "a", namespace: "web", service: "storefront", admits: 11, asked: 40 },
      { instance: "b", namespace: "web", service: "storefront", admits: 20, asked: 60 },
    ]);
    expect(registry.state.current).toBe(current);
    expect(JSON.stringify((await test.catalog.endpoints.list(signal)).items)).not.toContain("admits");
    await b.report(report("b"), signal);
    expect(registry.overloads.map(({ instance }) => instance)).toEqual(["a"]);
    a.end();
    expect(registry.overloads).toEqual([]);
    await b.report(report("b", overloaded(1, 2)), signal);
    await clock.advance(limits.ttlMs + 1_500);
    expect(registry.overloads).toEqual([]);
  });

  it("knows whose clock is not its own, from thirty seconds on, and tells everybody its time", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    expect(await session.report(report("a", { clockAheadSeconds: -29 }), signal)).toMatchObject({ refused: "", nowMs: clock.nowMs() });
    expect(registry.clocks).toEqual([]);
    await session.report(report("a", { clockAheadSeconds: -31 }), signal);
    expect(registry.clocks).toEqual([{ instance: "a", aheadMs: -31_000 }]);
    expect(await session.report(report("b"), signal)).toMatchObject({ refused: expect.stringContaining("this session is that of a"), nowMs: clock.nowMs() });
    session.end();
    expect(registry.clocks).toEqual([]);
  });

  it("hears a proxy that backs nothing, stores nothing of it, and forgets it some time after its last word", async () => {
    const registry = await start();
    const edge = (over: Partial<SessionReport> = {}): SessionReport => report("edge-1", { ports: [], unreached: [{ cluster: "shop-us", forMs: 6_000 }], ...over });
    const gatewayId = "spiffe://shop.example/atoll/gateway/shop-eu" as SpiffeId;
    const session = registry.openSession(identity);
    expect((await session.report(edge(), signal)).refused).toBe("");
    await registry.openSession(gatewayId).report(report("gateway-1", { ports: [], unwritten: "ENOSPC" }), signal);
    expect(registry.unreached).toEqual([{ instance: "edge-1", cluster: "shop-us", forMs: 6_000 }]);
    expect(registry.unwritten).toEqual([{ instance: "gateway-1", reason: "ENOSPC" }]);
    expect(seen(registry)).toEqual([]);
    expect((await test.catalog.endpoints.list(signal)).items).toEqual([]);
    session.end();
    expect(registry.unreached).toEqual([]);
    expect((await registry.openSession(gatewayId).report(edge(), signal)).refused).toMatch(/another identity/);
    await clock.advance(limits.reattachWindowMs + 2_000);
    expect((await registry.openSession(gatewayId).report(edge(), signal)).refused).toBe("");
  });

  it("takes the name of no proxy away from it, whether that backs a service or not", async () => {
    const registry = await start();
    const other = "spiffe://shop.example/ns/web/sa/edge" as SpiffeId;
    await registry.openSession(identity).report(report("a"), signal);
    expect((await registry.openSession(other).report(report("a", { ports: [] }), signal)).refused).toMatch(/a belongs to another identity/);
    await registry.openSession(other).report(report("b", { ports: [] }), signal);
    expect((await registry.openSession(identity).report(report("b"), signal)).refused).toMatch(/b belongs to another identity/);
    expect((await registry.openSession(other).report(report("B!", { ports: [] }), signal)).refused).toMatch(/not a lower-case DNS label/);
    expect(seen(registry)).toEqual(["a attached"]);
  });

  it("takes an instance out that backs nothing any more, and in again", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    await session.report(report("a"), signal);
    await session.report(report("a", { ports: [] }), signal);
    expect(seen(registry)).toEqual([]);
    expect((await test.catalog.endpoints.list(signal)).items).toEqual([]);
    await session.report(report("a"), signal);
    expect(seen(registry)).toEqual(["a attached"]);
    await session.report(report("a", { ports: [], unwritten: "ENOSPC" }), signal);
    await settled(clock);
    expect(registry.unwritten).toHaveLength(1);
    await session.report(report("a", { ports: [], draining: true }), signal);
    expect((await registry.openSession("spiffe://shop.example/ns/web/sa/other" as SpiffeId).report(report("a", { ports: [] }), signal)).refused).toBe("");
  });

  it("knows whose disk takes nothing, until it does", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    await session.report(report("a", { unwritten: "ENOSPC: no space left on device" }), signal);
    expect(registry.unwritten).toEqual([{ instance: "a", reason: "ENOSPC: no space left on device" }]);
    await session.report(report("a", { unwritten: "" }), signal);
    expect(registry.unwritten).toEqual([]);
  });

  it("knows which clusters instances said last they do not reach, until their sessions end", async () => {
    const registry = await start();
    const [a, b] = [registry.openSession(identity), registry.openSession(identity)];
    await b.report(report("b", { unreached: [{ cluster: "shop-us", forMs: 9_000 }] }), signal);
    await a.report(report("a", { unreached: [{ cluster: "shop-us", forMs: 6_000 }, { cluster: "shop-ap", forMs: 7_000 }] }), signal);
    expect(registry.unreached).toEqual([
      { instance: "a", cluster: "shop-us", forMs: 6_000 },
      { instance: "a", cluster: "shop-ap", forMs: 7_000 },
      { instance: "b", cluster: "shop-us", forMs: 9_000 },
    ]);
    expect(JSON.stringify((await test.catalog.endpoints.list(signal)).items)).not.toContain("shop-us");
    await a.report(report("a"), signal);
    expect(registry.unreached.map(({ instance }) => instance)).toEqual(["b"]);
    await clock.advance(limits.ttlMs + 1_500);
    expect(registry.unreached).toEqual([]);
  });

  it("is one instance's session", async () => {
    const registry = await start();
    const session = registry.openSession(identity);
    await session.report(report("a"), signal);
    expect((await session.report(report("b"), signal)).refused).toContain("session is that of a");
    expect(seen(registry)).toEqual(["a attached"]);
  });

  it("refuses while the store is away, and does not forget who is there", async () => {
    const registry = await start();
    await registry.openSession(identity).report(report("a"), signal);
    await test.store[Symbol.asyncDispose]();
    expect((await registry.openSession(identity).report(report("b"), signal)).refused).toContain("could not be stored");
    expect(seen(registry)).toEqual(["a attached"]);
  });
});
