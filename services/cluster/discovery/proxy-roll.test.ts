import { beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { proxyNameMax, type ProxyRecord } from "#federation/catalog/records.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { KeptProxies } from "./kept-proxies.ts";
import { nothingTaken } from "./lost-proxies.ts";
import { proxyKey, ProxyRoll } from "./proxy-roll.ts";

const identityMs = 3_600_000;
const gateway: ProxyRecord = { name: "gw-0", identity: "spiffe://shop.example/atoll/gateway/shop-eu" as SpiffeId, kind: "gateway" };
const sidecar: ProxyRecord = { name: "edge-0", identity: "spiffe://shop.example/ns/web/sa/edge" as SpiffeId, kind: "workload" };
const taken = { takenVersion: 7 };

describe("the roll of proxies", () => {
  let clock: VirtualClock;
  let roll: ProxyRoll;

  const next = (): ProxyRoll => new ProxyRoll({ clock, identityMs, known: roll.known.current });
  const silent = (): readonly [string, number][] => roll.silent(clock.monotonicMs()).map(({ name, ageMs }) => [name, ageMs]);

  beforeEach(() => {
    clock = new VirtualClock();
    roll = new ProxyRoll({ clock, identityMs });
    for (const proxy of [gateway, sidecar]) roll.stays(proxy);
  });

  it("goes on over a plane's end: whom it had lost stays lost since then, for as long as an identity holds", async () => {
    roll.ended({ ...gateway, ...taken }, "stays");
    await clock.advance(600_000);
    roll = next();
    expect(roll.silent(clock.monotonicMs())).toEqual([{ ...gateway, takenVersion: nothingTaken, ageMs: 600_000 }, { ...sidecar, takenVersion: nothingTaken, ageMs: 0 }]);
    roll.heard(proxyKey(sidecar));
    expect(silent()).toEqual([["gw-0", 600_000]]);
    await clock.advance(identityMs - 600_000);
    expect(silent()).toEqual([]);
    expect([...roll.known.current.values()]).toEqual([sidecar]);
  });

  it("counts whoever does not come back to a plane as silent since that one began, whatever number of planes follow", async () => {
    await clock.advance(1_000);
    for (let begins = 0; begins < 3; begins++) {
      roll = next();
      await clock.advance(proxyReturnMs);
      roll.settle();
    }
    roll = next();
    expect(silent()).toEqual([["gw-0", 3 * proxyReturnMs], ["edge-0", 3 * proxyReturnMs]]);
    await clock.advance(identityMs - 3 * proxyReturnMs);
    expect(silent()).toEqual([]);
    expect(roll.known.current.size).toBe(0);
  });

  it("is left by a proxy's own word alone: neither a cut before it has said anything nor a name that it says twice ends that", () => {
    roll.ended({ ...gateway, ...taken }, undefined);
    expect(silent()).toEqual([["gw-0", 0]]);
    roll.heard(proxyKey(gateway));
    roll.stays(gateway);
    expect(roll.known.current.get(proxyKey(gateway))).toEqual(gateway);
    roll.ended({ ...gateway, ...taken }, "leaves");
    expect([...roll.known.current.values()]).toEqual([sidecar]);
    expect(roll.away(clock.monotonicMs())).toEqual([]);
  });

  it("has whoever never said that it would say when it leaves for a moment, and in no store", async () => {
    const stranger: ProxyRecord = { ...sidecar, name: "edge-1" };
    roll.ended({ ...stranger, ...taken }, undefined);
    expect(silent()).toEqual([]);
    expect(roll.away(clock.monotonicMs())).toMatchObject([{ name: "edge-1" }]);
    expect(roll.known.current.size).toBe(2);
    await clock.advance(proxyReturnMs);
    expect(roll.away(clock.monotonicMs())).toEqual([]);
  });

  it("is kept in the store, whatever proxies call themselves, and written where it differs", async () => {
    const { signal } = new AbortController();
    await using store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    const catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
    const open = (): KeptProxies => new KeptProxies({ collection: catalog.proxies, commit: async (ops, inner) => await catalog.commit(ops, inner), clock, logger: silentLogger });
    const named = Array.from({ length: 100 }, (_, index): ProxyRecord => ({ ...sidecar, name: `${"ä/\0 ".repeat(20)}${index}`.slice(0, proxyNameMax) }));
    for (const proxy of named) roll.stays(proxy);
    roll.ended({ ...gateway, ...taken }, "stays");
    const kept = open();
    expect((await kept.load(signal)).size).toBe(0);
    const keep = async (): Promise<void> => {
      const stop = new AbortController();
      const following = kept.follow(roll.known, stop.signal);
      await expect.poll(async () => [...(await open().load(signal))]).toEqual([...roll.known.current]);
      stop.abort();
      await following;
    };
    await keep();
    const { revision } = await catalog.proxies.list(signal);
    roll.ended({ ...sidecar, ...taken }, "leaves");
    await keep();
    const after = await catalog.proxies.list(signal);
    expect(after.revision).toBe(revision + 1);
    expect(OrderedMap.of(after.items.map(({ value }) => [proxyKey(value), value])).get(proxyKey(gateway))).toEqual({ ...gateway, silentSinceMs: Math.floor(clock.nowMs()) });
  });
});
