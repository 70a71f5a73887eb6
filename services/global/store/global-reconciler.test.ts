import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { encodePeerResource } from "#federation/model/parse/parse-resource.ts";
import { globalOrigin, type OpenedObject } from "#federation/model/replicated-object.ts";
import { apiVersion, resourceId, type TrafficPolicy } from "#federation/model/resource.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { globalReconciler } from "./global-reconciler.ts";

const { signal } = new AbortController();
const epoch = 7;

describe("what is newer than a restored resource", () => {
  const clock = new VirtualClock();
  let store: SqliteStore;
  let catalog: Catalog;

  beforeEach(async () => {
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });
  /** As a cluster holds it. */
  const held = (requestMs: number, revision: number): OpenedObject => {
    const payload = { kind: "TrafficPolicy", key: "web/catalog", origin: globalOrigin, generation: { epoch, revision }, tombstone: false, value: encodePeerResource(policy(requestMs)) };
    return { payload } as unknown as OpenedObject;
  };
  /** It stood at `revision` when the backup was made, and stands far behind that here. */
  const restored = async (requestMs: number, revision: number): Promise<void> => {
    for (let turn = 0; turn < 100; turn++) await catalog.positions.put("p", { publisher: "p", epoch, term: 1, stream: "s", seq: turn, floorEpoch: 1, floorRevision: 1, appliedAtMs: 1 }, {}, signal);
    const collection = catalog.resources("TrafficPolicy");
    await catalog.commit([collection.putOp(policy(requestMs)), catalog.restored.putOp(`TrafficPolicy/${resourceId(policy(requestMs).metadata)}`, { epoch, revision })], signal);
  };
  const take = async (object: OpenedObject): Promise<boolean> => await globalReconciler(catalog, epoch).take(object, "take-newer", signal);
  const present = async (): Promise<number | undefined> => (await catalog.resources("TrafficPolicy").get("web/catalog", signal))?.value.spec.timeouts?.requestMs;

  it("is told by where it stood in the store that the backup was made of", async () => {
    await restored(1_000, 40);
    expect([await take(held(900, 39)), await take(held(1_000, 40)), await present()]).toEqual([false, false, 1_000]);
    expect([await take(held(2_000, 41)), await present()]).toEqual([true, 2_000]);
  });

  it("is told by the store's own position once it was written again", async () => {
    await restored(1_000, 40);
    await catalog.resources("TrafficPolicy").apply(policy(1_500), {}, signal);
    expect([await take(held(2_000, 41)), await present()]).toEqual([false, 1_500]);
  });

  it("is told by nothing that was remembered of an earlier epoch", async () => {
    await restored(1_000, 40);
    expect(await globalReconciler(catalog, epoch + 1).take({ payload: { ...held(2_000, 41).payload, generation: { epoch: epoch + 1, revision: 41 } } } as unknown as OpenedObject, "take-newer", signal)).toBe(false);
  });
});
