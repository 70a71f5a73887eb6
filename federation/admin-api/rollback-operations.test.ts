import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { rollbackOperations } from "./rollback-operations.ts";
import type { AdminAnswer, AdminRequest, Operation } from "./route.ts";

const { signal } = new AbortController();
const path = { namespace: "web", name: "slow" };
const policy = (target: string, requestMs = 1): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: path, spec: { targetRef: { namespace: target, name: "a", trustDomain: "shop.example" as TrustDomainName }, timeouts: { requestMs } } });

describe("a rollback", () => {
  let store: Store;
  let catalog: Catalog;
  let rollback: Operation;

  const call = async (over: Partial<AdminRequest<unknown, unknown, unknown>> = {}): Promise<AdminAnswer<TrafficPolicy>> =>
    (await rollback.handle({ params: path, query: {}, body: {}, caller: undefined as never, demand: () => undefined, ...over }, signal)) as AdminAnswer<TrafficPolicy>;
  const apply = async (resource: TrafficPolicy): Promise<void> => void (await catalog.resources("TrafficPolicy").apply(resource, {}, signal));

  beforeEach(async () => {
    const clock = new VirtualClock();
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
    const collection = catalog.resources("TrafficPolicy");
    rollback = rollbackOperations("TrafficPolicy", collection, async (id, inner) => await collection.formerForms(id, inner)).find(({ route }) => route.operationId === "rollbackTrafficPolicy") as Operation;
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  it("is a write of its own: a new generation and revision, with what has changed for the trail", async () => {
    await apply(policy("web", 1));
    await apply(policy("web", 2));
    const { body, revision, change } = await call();
    expect(body.metadata).toMatchObject({ generation: 3, revision });
    expect(change).toMatchObject({ outcome: "changed", kind: "TrafficPolicy", id: "web/slow", revisionAfter: revision, fields: ["spec.timeouts.requestMs"] });
    // And can be undone as any other.
    expect((await call()).body.spec.timeouts?.requestMs).toBe(2);
  });

  it("is asked for the right to write what is there and what is put back", async () => {
    await apply(policy("web"));
    await apply(policy("pay"));
    const demanded: unknown[] = [];
    await call({ query: { dryRun: true }, demand: (scope) => void demanded.push(scope) });
    expect(demanded).toHaveLength(2);
    const refuse = (): never => {
      throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "no");
    };
    await expect(call({ demand: refuse })).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    expect((await catalog.resources("TrafficPolicy").get("web/slow", signal))?.value.spec.targetRef.namespace).toBe("pay");
  });

  it("of a resource that never had another form says so, and which generations are kept", async () => {
    await expect(call()).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND", message: "there is no former form of TrafficPolicy web/slow to put back; kept: none" });
    await apply(policy("web", 1));
    await apply(policy("web", 2));
    await expect(call({ body: { to: 7 } })).rejects.toMatchObject({ message: "there is no generation 7 of TrafficPolicy web/slow to put back; kept: 1" });
  });
});
