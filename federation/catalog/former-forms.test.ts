import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { Catalog } from "./catalog.ts";
import { deletedFormsMax, formerFormsMax } from "./former-forms.ts";
import { keys } from "./keys.ts";

const { signal } = new AbortController();
const id = "web/slow";
const policy = (requestMs: number, name = "slow"): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name }, spec: { targetRef: { namespace: "web", name: "a" }, timeouts: { requestMs } } });

describe("the former forms of a resource", () => {
  let store: Store;
  let catalog: Catalog;

  const apply = async (requestMs: number, name?: string): Promise<void> => void (await catalog.resources("TrafficPolicy").apply(policy(requestMs, name), {}, signal));
  const kept = async (): Promise<readonly unknown[]> => (await catalog.resources("TrafficPolicy").formerForms(id, signal)).map(({ resource, isDeleted }) => [resource.metadata.generation, resource.spec.timeouts?.requestMs, isDeleted]);

  beforeEach(async () => {
    const clock = new VirtualClock();
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  it("are those that another form has replaced, the newest first, and a write that changes nothing makes none", async () => {
    await apply(1);
    expect(await kept()).toEqual([]);
    await apply(2);
    await apply(2);
    await apply(3);
    expect(await kept()).toEqual([[2, 2, false], [1, 1, false]]);
  });

  it("are at most ten, of which the oldest goes first", async () => {
    for (let at = 1; at <= formerFormsMax + 3; at++) await apply(at);
    const forms = await kept();
    expect(forms).toHaveLength(formerFormsMax);
    expect([forms.at(0), forms.at(-1)]).toEqual([[12, 12, false], [3, 3, false]]);
  });

  it("are written in the transaction that ends them, at its revision", async () => {
    await apply(1);
    await apply(2);
    const [form] = (await store.list(keys.formerForms("TrafficPolicy"), signal)).entries;
    expect(form?.revision).toBe((await catalog.resources("TrafficPolicy").get(id, signal))?.revision);
  });

  it("of a resource that is deleted are its last one alone, and of so many resources", async () => {
    await apply(1);
    await apply(2);
    await catalog.resources("TrafficPolicy").remove(id, {}, signal);
    expect(await kept()).toEqual([[2, 2, true]]);
    for (let at = 0; at < deletedFormsMax; at++) {
      await apply(1, `other-${at}`);
      await catalog.resources("TrafficPolicy").remove(`web/other-${at}`, {}, signal);
    }
    expect((await store.list(keys.deletedForms("TrafficPolicy"), signal)).entries).toHaveLength(deletedFormsMax);
    expect(await kept()).toEqual([]);
  });

  it("are none of a kind that says who may do what", async () => {
    const relationship = (services: readonly string[]) => ({ apiVersion, kind: "Relationship", metadata: { name: "r" }, spec: { caller: { trustDomain: "a.example", authoritySha256: "ab".repeat(32), principals: ["*"] }, callee: { trustDomain: "b.example", authoritySha256: "cd".repeat(32), services }, validUntil: "2099-01-01T00:00:00Z" } }) as never;
    await catalog.resources("Relationship").apply(relationship(["web/a"]), {}, signal);
    await catalog.resources("Relationship").apply(relationship(["web/b"]), {}, signal);
    await catalog.resources("Relationship").remove("r", {}, signal);
    expect(await catalog.resources("Relationship").formerForms("r", signal)).toEqual([]);
  });
});
