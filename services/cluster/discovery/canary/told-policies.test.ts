import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { CanaryState } from "./canary-state.ts";
import type { PolicyForm } from "./canary-trial.ts";
import { ToldPolicies } from "./told-policies.ts";

const { signal } = new AbortController();
const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "slow" }, spec: { targetRef: { namespace: "web", name: "a" }, timeouts: { requestMs } } });
const form = (requestMs: number): PolicyForm => ({ policy: policy(requestMs), generation: { epoch: 1, revision: requestMs } });
const target = "web/a/shop.example";
const none: Pick<CanaryState, "settled" | "stopped"> = { settled: OrderedMap.of(), stopped: OrderedMap.of() };

describe("what proxies are told of policies", () => {
  let store: Store;
  let catalog: Catalog;

  const openTold = (): ToldPolicies => new ToldPolicies({ collection: catalog.policyTellings, commit: async (ops, inner) => await catalog.commit(ops, inner), clock: new VirtualClock(), logger: silentLogger });

  beforeEach(async () => {
    const clock = new VirtualClock();
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  it("is known to the plane that comes next, with what was stopped, by whom and why", async () => {
    const stopped = OrderedMap.of([[target, { form: form(2), proxy: "edge-0", cause: "refused", reason: "no such limit", atMs: 5 } as const]]);
    await openTold().keep({ settled: OrderedMap.of([[target, form(1)]]), stopped }, signal);
    const loaded = await openTold().load(signal);
    expect([...(loaded?.settled ?? [])]).toEqual([[target, form(1)]]);
    expect([...(loaded?.stopped ?? [])]).toEqual([...stopped]);
  });

  it("says of what was held back since nobody answered no more than of what was stopped: the plane that comes next tries it again by itself", async () => {
    const stopped = OrderedMap.of([[target, { form: form(2), proxy: "edge-0", cause: "silent", reason: "it has not answered for 20 s", atMs: 5 } as const]]);
    await openTold().keep({ settled: OrderedMap.of([[target, form(1)]]), stopped }, signal);
    const loaded = await openTold().load(signal);
    expect([[...(loaded?.stopped ?? [])], loaded?.retries]).toEqual([[...stopped], new Map()]);
  });

  it("is nothing before a plane has begun to keep it, and empty afterwards while there is no policy", async () => {
    expect(await openTold().load(signal)).toBeUndefined();
    await openTold().keep(none, signal);
    expect((await openTold().load(signal))?.settled.size).toBe(0);
  });

  it("is let go of with the policy, and written only where it differs", async () => {
    const told = openTold();
    await told.keep({ ...none, settled: OrderedMap.of([[target, form(1)]]) }, signal);
    const { revision } = await catalog.policyTellings.list(signal);
    const same = (await told.load(signal)) ?? none;
    await told.keep(same, signal);
    expect((await catalog.policyTellings.list(signal)).revision).toBe(revision);
    await told.keep(none, signal);
    expect((await openTold().load(signal))?.settled.size).toBe(0);
  });
});
