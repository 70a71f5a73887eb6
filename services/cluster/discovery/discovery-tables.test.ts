import fc from "fast-check";
import { expect, it } from "vitest";
import type { ClusterId, SpiffeId } from "#federation/model/names.ts";
import { itemsPerTurn } from "#federation/runtime/turns.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { clusterResource, clusterState, endpoint, service, serviceExport, serviceImport } from "../cluster-state-fixture.ts";
import type { ClusterState } from "../cluster-state.ts";
import { ExportContents } from "../exports/export-contents.ts";
import { DiscoveryTables, type Subscriber } from "./discovery-tables.ts";

const identity = "spiffe://shop.example/ns/web/sa/b" as SpiffeId;
const subscribers: readonly Subscriber[] = [{ kind: "workload", identity }, { kind: "gateway", identity }];
const names = ["a", "b", "c"];
const some = fc.subarray(names);
const parts = fc.record({ services: some, exports: some, imports: some, ready: some, elsewhere: fc.boolean(), namespaces: fc.subarray(["web"]) });
const anotherCluster = clusterResource();

/** Nothing is shared between two of these, so a state is told from the next by what it holds alone. */
function stateOf(of: { readonly services: string[]; readonly exports: string[]; readonly imports: string[]; readonly ready: string[]; readonly elsewhere: boolean; readonly namespaces: string[] }): ClusterState {
  return clusterState({
    services: new Map(of.services.map((name) => [`web/${name}`, service("web", name)])),
    exports: new Map(of.exports.map((name) => [`web/${name}`, serviceExport("web", name)])),
    endpoints: names.map((name) => endpoint(`${name}-0`, "web", of.elsewhere ? "a" : name, { ready: of.ready.includes(name) })),
    imports: of.imports.map((name) => serviceImport({ name, cluster: (of.elsewhere ? "shop-us" : "shop-ap") as ClusterId })),
    clusters: new Map([["shop-eu", { ...anotherCluster, spec: { ...anotherCluster.spec, exportNamespaces: of.namespaces } }]]),
  });
}

function shown(tables: DiscoveryTables): unknown {
  return subscribers.flatMap((subscriber) => Object.values(resourceTypeUrls).map((typeUrl) => [...(tables.tableFor(subscriber, typeUrl) ?? [])].map(([name, { version }]) => [name, version])));
}

async function tablesOf(state: ClusterState): Promise<DiscoveryTables> {
  const tables = new DiscoveryTables(state);
  await tables.build();
  return tables;
}

it("holds after any series of states what the last of them makes alone, and the exports do too", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(parts, { minLength: 1, maxLength: 5 }), async (series) => {
      const states = series.map(stateOf);
      const tables = await tablesOf(clusterState());
      shown(tables);
      const contents = new ExportContents();
      for (const state of states) {
        tables.update(state);
        const exported = [...contents.next(state)].map(([key, { fingerprint }]) => [key, fingerprint]);
        expect(shown(tables)).toEqual(shown(await tablesOf(state)));
        expect(exported).toEqual([...new ExportContents().next(state)].map(([key, { fingerprint }]) => [key, fingerprint]));
      }
    }),
    { numRuns: 60 },
  );
});

it("is built of many services in turns", async () => {
  const imports = Array.from({ length: 5 * itemsPerTurn }, (_, index) => serviceImport({ name: `s${index}` }));
  let isBuilt = false;
  let turns = 0;
  const count = (): void => {
    turns++;
    if (!isBuilt) setImmediate(count);
  };
  setImmediate(count);
  const tables = await tablesOf(clusterState({ imports }));
  isBuilt = true;
  expect(turns).toBeGreaterThanOrEqual(4);
  expect(tables.tableFor({ kind: "workload", identity }, resourceTypeUrls.service)?.size).toBeGreaterThanOrEqual(imports.length);
});
