import { expect, it } from "vitest";
import type { CollectionState } from "#federation/catalog/collection.ts";
import type { ResourceBackend } from "#federation/admin-api/resource-routes.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { apiVersion, resourceId, type Cluster, type Region, type TrafficPolicy } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { shownPolicies, storedPolicy } from "./shown-policies.ts";

const never = new AbortController().signal;
const shop = "shop.example" as TrustDomainName;

function state<T>(rows: readonly (readonly [string, T])[]): CollectionState<T> {
  return { loaded: true, revision: 1, items: new Map(rows.map(([id, value]) => [id, { id, value, revision: 1 }])) };
}

function policy(name: string): TrafficPolicy {
  return { apiVersion, kind: "TrafficPolicy", metadata: { name, namespace: "web", generation: 1 }, spec: { targetRef: { namespace: "web", name: "catalog", trustDomain: shop } } };
}

const exported = (origin: string, tombstone: boolean): readonly [string, OpenedObject] => [`${origin}/ServiceExport/web/catalog`, { payload: { tombstone } } as OpenedObject];

it("shows each policy by what there is at that moment, writes nothing of that, and follows what changes", async () => {
  const written: TrafficPolicy[] = [];
  const policies = new WatchedValue(state([["web/a", policy("a")]]));
  let objects: ReadonlyMap<string, OpenedObject> = new Map([exported("shop-eu", true)]);
  let clusters: ReadonlyMap<string, Cluster> = new Map();
  const backend = {
    get: async (id) => ({ value: policies.current.items.get(id)?.value ?? policy("none"), revision: 1 }),
    list: async () => ({ items: [...policies.current.items.values()], revision: 1 }),
    async apply(resource, { over }) {
      written.push(resource);
      if (over !== undefined && over !== "nothing") written.push(over.value);
      return { outcome: "created", resource };
    },
  } as Pick<ResourceBackend<"TrafficPolicy">, "get" | "list" | "apply"> as ResourceBackend<"TrafficPolicy">;
  const shown = shownPolicies(backend, { stored: { Region: new WatchedValue(state<Region>([])), TrafficPolicy: policies }, clusters: () => clusters, objects: () => objects });
  const reasons = async (): Promise<readonly (readonly string[])[]> => (await shown.list(never)).items.map(({ value }) => [resourceId(value.metadata), ...(value.status?.conditions ?? []).map(({ reason }) => reason)]);

  expect(await reasons()).toEqual([["web/a", "Accepted", "NoConflicts", "TrustDomainNotFound"]]);
  clusters = new Map([["shop-eu", { spec: { trustDomain: shop } } as Cluster]]);
  expect(await reasons()).toEqual([["web/a", "Accepted", "NoConflicts", "TargetNotExported"]]);
  objects = new Map([exported("shop-eu", false)]);
  expect(await reasons()).toEqual([["web/a", "Accepted", "NoConflicts", "ResolvedRefs"]]);
  policies.set(state([["web/b", policy("b")], ["web/a", policy("a")]]));
  expect(await reasons()).toEqual([["web/b", "Conflicted", "TargetTaken", "ResolvedRefs"], ["web/a", "Accepted", "NoConflicts", "ResolvedRefs"]]);

  const present = await shown.get("web/b", never);
  const { resource } = await shown.apply(policy("b"), present === undefined ? {} : { over: present }, never);
  expect(resource.status?.conditions).toHaveLength(3);
  expect(written).toEqual([policy("b"), policy("b")]);
  expect(storedPolicy(resource)).toEqual(policy("b"));
});
