import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import type { CollectionState } from "#federation/catalog/collection.ts";
import { apiVersion, type Region, type Resource } from "#federation/model/resource.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { GlobalObjects, type GlobalResources } from "./global-objects.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const noDeletions = { loaded: true, revision: 0, items: new Map() };
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
