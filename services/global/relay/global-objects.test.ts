import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import type { CollectionState } from "#federation/catalog/collection.ts";
import type { DeletionRecord } from "#federation/catalog/records.ts";
import { apiVersion, type Region, type Resource } from "#federation/model/resource.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { GlobalObjects, type GlobalResources } from "./global-objects.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const noDeletions: CollectionState<DeletionRecord> = { loaded: true, revision: 0, items: new Map() };
const signer = { privateKey, chain: [Uint8Array.of(1)] };

function stateOf<T extends Resource>(...values: readonly T[]): WatchedValue<CollectionState<T>> {
  return new WatchedValue({ loaded: true, revision: 7, items: new Map(values.map((value) => [value.metadata.name, { id: value.metadata.name, value, revision: 7 }])) });
}

it("signs what a restored store holds at a revision that was signed before", () => {
  const region = (labels: Readonly<Record<string, string>>): Region => ({ apiVersion, kind: "Region", metadata: { name: "eu-west", labels }, spec: {} });
  const regions = stateOf(region({ tier: "one" }));
  const resources: GlobalResources = { regions, clusters: stateOf(), trustDomains: stateOf(), relationships: stateOf(), policies: stateOf() };
  const own = new GlobalObjects({ federation: "demo.atoll", epoch: 1, signer: () => signer });
  const [before] = own.of(resources, noDeletions).values();
  expect([...own.of(resources, noDeletions).values()]).toEqual([before]);
  regions.set(stateOf(region({ tier: "two" })).current);
  const [after] = own.of(resources, noDeletions).values();
  expect(after?.payload.generation).toEqual(before?.payload.generation);
  expect(after?.payload.value).not.toEqual(before?.payload.value);
});

it("says of what was deleted that it is, and withdraws nothing before the deletions that are known have reached it", () => {
  const region: Region = { apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} };
  const regions = stateOf(region);
  const resources: GlobalResources = { regions, clusters: stateOf(), trustDomains: stateOf(), relationships: stateOf(), policies: stateOf() };
  const own = new GlobalObjects({ federation: "demo.atoll", epoch: 1, signer: () => signer });
  const tombstones = (deletions: Parameters<GlobalObjects["of"]>[1]): readonly boolean[] => [...own.of(resources, deletions).values()].map(({ payload }) => payload.tombstone);
  const recorded = (revision: number, ...ids: readonly string[]): typeof noDeletions => ({ loaded: true, revision, items: new Map(ids.map((id) => [`Region/${id}`, { id: `Region/${id}`, value: { kind: "Region", id, deletedAtMs: 1 }, revision }])) });
  expect(tombstones(recorded(6, "us-east"))).toEqual([false, true]);
  // Resources and deletions are read beside each other, and the one is a moment ahead.
  regions.set({ loaded: true, revision: 8, items: new Map() });
  expect(tombstones(recorded(6, "us-east"))).toEqual([true, false]);
  expect(tombstones(recorded(8, "us-east", "eu-west"))).toEqual([true, true]);
  // One that is not remembered any more is over.
  expect(tombstones(recorded(9, "us-east"))).toEqual([true]);
});

it("withdraws nothing either before the first deletion that was ever recorded is known", () => {
  const regions = stateOf<Region>({ apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} });
  const resources: GlobalResources = { regions, clusters: stateOf(), trustDomains: stateOf(), relationships: stateOf(), policies: stateOf() };
  const own = new GlobalObjects({ federation: "demo.atoll", epoch: 1, signer: () => signer });
  own.of(resources, noDeletions);
  regions.set({ loaded: true, revision: 8, items: new Map() });
  expect([...own.of(resources, noDeletions).values()].map(({ payload }) => payload.tombstone)).toEqual([false]);
});
