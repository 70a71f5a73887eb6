import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { Stored } from "#federation/catalog/collection.ts";
import { apiVersion, type Service } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { withLastKnown } from "./last-known-backend.ts";
import { resourceOperations } from "./resource-routes.ts";
import type { AdminAnswer, AdminRequest, Operation } from "./route.ts";

const { signal } = new AbortController();
const path = { namespace: "web", name: "front" };
const service = (port: number, owner = "web"): Service => ({ apiVersion, kind: "Service", metadata: { ...path, labels: { owner } }, spec: { ports: [{ name: "http", port, protocol: "http" }], serviceAccounts: ["front"] } });

describe("a write of a resource that the plane holds in memory", () => {
  let store: Store;
  let catalog: Catalog;
  let apply: Operation;
  let reads: number;
  let isAway: boolean;
  let held: Map<string, Stored<Service>>;

  const put = async (body: Service, over: Partial<AdminRequest<unknown, unknown, unknown>> = {}): Promise<AdminAnswer<Service>> =>
    (await apply.handle({ params: path, query: {}, body, caller: undefined as never, demand: () => undefined, ...over }, signal)) as AdminAnswer<Service>;
  const write = async (body: Service): Promise<void> => void (await catalog.resources("Service").apply(body, {}, signal));
  /** Takes up what is stored now; until the next time it is what the plane holds. */
  const hold = async (): Promise<void> => {
    held = new Map((await catalog.resources("Service").list(signal)).items.map((item) => [item.id, item]));
  };
  const portOf = async (): Promise<number | undefined> => (await catalog.resources("Service").get("web/front", signal))?.value.spec.ports[0]?.port;

  beforeEach(async () => {
    const clock = new VirtualClock();
    const inner = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    reads = 0;
    isAway = false;
    held = new Map();
    store = Object.assign(Object.create(inner) as Store, {
      get: async (...asked: Parameters<Store["get"]>) => {
        reads++;
        return await inner.get(...asked);
      },
      list: async (...asked: Parameters<Store["list"]>) => await inner.list(...asked),
      commit: async (...asked: Parameters<Store["commit"]>) => await inner.commit(...asked),
      [Symbol.asyncDispose]: async () => await inner[Symbol.asyncDispose](),
    });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
    const state = { get current() { return { loaded: true, items: held, revision: 0 }; } };
    const operations = resourceOperations("Service", withLastKnown<"Service">(catalog.resources("Service"), { isAway: () => isAway, state }));
    apply = operations.find(({ route }) => route.operationId === "applyService") as Operation;
    await write(service(1));
    await hold();
    reads = 0;
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  it("reads nothing, and is the same write", async () => {
    const { body, change } = await put(service(2));
    expect(reads).toBe(0);
    expect(body.metadata).toMatchObject({ generation: 2 });
    expect(change).toMatchObject({ outcome: "changed", revisionBefore: held.get("web/front")?.revision, fields: ["spec.ports[0].port"] });
    expect(await portOf()).toBe(2);
  });

  it("is judged by what is stored when somebody else has written meanwhile", async () => {
    await write(service(7));
    const { body, change } = await put(service(2));
    expect(body.metadata).toMatchObject({ generation: 3 });
    expect(change).toMatchObject({ outcome: "changed", revisionBefore: (held.get("web/front")?.revision ?? 0) + 1 });
    expect(await portOf()).toBe(2);
  });

  it("that says what is held changes what somebody else has made of it", async () => {
    await write(service(7));
    expect((await put(service(1))).change).toMatchObject({ outcome: "changed" });
    expect(await portOf()).toBe(1);
    await hold();
    expect((await put(service(1))).change).toMatchObject({ outcome: "unchanged" });
  });

  it("makes it again when somebody else has deleted it", async () => {
    await catalog.resources("Service").remove("web/front", {}, signal);
    expect(await put(service(2))).toMatchObject({ status: 201, change: { outcome: "created" } });
  });

  it("is refused by its precondition alone, whichever form is held", async () => {
    const first = held.get("web/front")?.revision ?? 0;
    await write(service(7));
    await expect(put(service(2), { ifRevision: first })).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    await put(service(2), { ifRevision: first + 1 });
    expect(await portOf()).toBe(2);
  });

  it("is asked for the right to the form that it replaces, and not to one that was there before", async () => {
    const demandOf = (refused: number) => {
      let asked = 0;
      return { demand: () => { if (++asked === refused) throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "no"); } };
    };
    // The first question is for the new form; the second one for what is held, the third one for what is stored.
    await expect(put(service(2), demandOf(1))).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    await put(service(2), demandOf(2));
    expect([reads, await portOf()]).toEqual([1, 2]);
    await expect(put(service(3), { demand: (() => { let asked = 0; return () => { if (++asked > 1) throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "no"); }; })() })).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    expect(await portOf()).toBe(2);
  });

  it("reads the store for a dry run, and when the store is said to be away", async () => {
    await put(service(2), { query: { dryRun: true } });
    expect(reads).toBeGreaterThan(0);
    isAway = true;
    expect((await put(service(3))).change).toMatchObject({ outcome: "changed" });
    expect(await portOf()).toBe(3);
  });
});
