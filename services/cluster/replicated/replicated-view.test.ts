import { afterEach, beforeEach, expect, it } from "vitest";
import { objectId } from "#federation/catalog/catalog.ts";
import type { ObjectRecord } from "#federation/catalog/records.ts";
import { itemsPerTurn } from "#federation/runtime/turns.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openTestCatalog, settled, type TestCatalog } from "../catalog-fixture.ts";
import { clusterResource } from "../cluster-state-fixture.ts";
import { exportedService, storedExport, storedObject, storedResource } from "./replicated-fixture.ts";
import { ReplicatedView } from "./replicated-view.ts";

const clock = new VirtualClock();
let test: TestCatalog;
let view: ReplicatedView;
let stop: AbortController;
let following: Promise<void>;

const put = async (record: ObjectRecord): Promise<void> => {
  await test.catalog.objects.put(objectId(record), record, {}, stop.signal);
  await settled(clock);
};

beforeEach(async () => {
  test = await openTestCatalog();
  stop = new AbortController();
  view = new ReplicatedView(test.catalog.objects, silentLogger);
});
afterEach(async () => {
  stop.abort();
  await following;
  await test[Symbol.asyncDispose]();
});

it("has loaded once the store was read, empty or not, and then holds objects by kind", async () => {
  await put(storedResource(clusterResource()));
  expect(view.loaded.current).toBe(false);
  following = view.follow(stop.signal);
  await settled(clock);
  expect(view.loaded.current).toBe(true);
  await put(storedExport(exportedService()));
  expect([...view.state.current.clusters.keys()]).toEqual(["shop-eu"]);
  expect(view.state.current.exports.get("shop-us/web/storefront")).toMatchObject({ spec: { cluster: "shop-us", origin: { epoch: 1, revision: 1 }, appliedAtMs: 5 } });
});

it("keeps the others when one object cannot be read, does not understand or is buried", async () => {
  following = view.follow(stop.signal);
  await put(storedExport(exportedService()));
  await put(storedObject({ origin: "shop-ap", kind: "ServiceExport", key: "web/broken", value: Buffer.from("{") }));
  await put(storedObject({ origin: "global", kind: "Drill", key: "later", value: Buffer.from("{}") }));
  await put(storedObject({ origin: "shop-ap", kind: "ServiceExport", key: "web/gone", tombstone: true, value: new Uint8Array() }));
  expect([...view.state.current.exports.keys()]).toEqual(["shop-us/web/storefront"]);
  await test.catalog.objects.remove("shop-us/ServiceExport/web/storefront", {}, stop.signal);
  await settled(clock);
  expect(view.state.current.exports.size).toBe(0);
});

it("gives each kind by itself, the same while it does not change", async () => {
  following = view.follow(stop.signal);
  await put(storedResource(clusterResource()));
  expect([...view.part("clusters").current.keys()]).toEqual(["shop-eu"]);
  expect(view.part("exports").current.size).toBe(0);
});

it("shows what it has read of many at first, and of all anew nothing before it has read it", async () => {
  const count = 2 * itemsPerTurn + 1;
  const ops = Array.from({ length: count }, (_, index) => storedExport(exportedService({ name: `s${index}` }))).map((record) => test.catalog.objects.putOp(objectId(record), record));
  for (let start = 0; start < count; start += itemsPerTurn) await test.catalog.commit(ops.slice(start, start + itemsPerTurn), stop.signal);
  const sizes: (readonly [number, boolean])[] = [];
  const watching = (async () => {
    for await (const { exports } of view.state.changes(stop.signal)) sizes.push([exports.size, view.loaded.current]);
  })();
  const first = new AbortController();
  const earlier = view.follow(first.signal);
  await settled(clock);
  await expect.poll(() => view.loaded.current).toBe(true);
  expect(sizes.some(([size, isLoaded]) => size > 0 && size < count && !isLoaded)).toBe(true);
  first.abort();
  await earlier;
  sizes.splice(0);
  following = view.follow(stop.signal);
  await put(storedExport(exportedService({ name: "later" })));
  await expect.poll(() => view.state.current.exports.size).toBe(count + 1);
  expect(sizes.every(([size]) => size >= count)).toBe(true);
  stop.abort();
  await watching;
});
