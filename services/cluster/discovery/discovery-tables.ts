import { encodeBundle, encodeGatewayRoute, encodeInbound, encodeService, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import type { ServiceHost, SpiffeId } from "#federation/model/names.ts";
import type { ServiceImport } from "#federation/model/resource.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";
import { changedKeys } from "#federation/runtime/ordered-map.ts";
import { inTurns } from "#federation/runtime/turns.ts";
import type { ClusterState } from "../cluster-state.ts";
import { identitiesOf } from "../exports/derive-exports.ts";
import { buildGatewayRoutesOf, buildInbound, buildInboundOf, buildServicesNamed } from "./build-resources.ts";
import { emptyTable, nextTable, withResource, type ResourceTable, type ResourceType } from "./resource-table.ts";

/** Who asks: what it may see follows from its identity, never from what it says of itself. */
export type Subscriber = { readonly kind: "workload"; readonly identity: SpiffeId } | { readonly kind: "gateway"; readonly identity: SpiffeId };

const types = {
  service: { typeUrl: resourceTypeUrls.service, encode: encodeService },
  bundle: { typeUrl: resourceTypeUrls.bundle, encode: encodeBundle },
  inbound: { typeUrl: resourceTypeUrls.inbound, encode: encodeInbound },
  gatewayRoute: { typeUrl: resourceTypeUrls.gatewayRoute, encode: encodeGatewayRoute },
} as const;

/**
 * The tables that all streams of this cluster share, followed through its states: of each new one only the services are built and
 * encoded that something changed for. Inbound tables exist once for each identity that has asked.
 */
export class DiscoveryTables {
  #state: ClusterState;
  #services = emptyTable;
  #bundles = emptyTable;
  #gatewayRoutes = emptyTable;
  #inbound = new Map<SpiffeId, ResourceTable>();
  #built = 0;

  /** Of `state`, which is not looked at before `build`. */
  constructor(state: ClusterState) {
    this.#state = state;
  }

  /** Builds and encodes all that there is, for once: in turns, so that a plane of many services goes on with all else. */
  async build(): Promise<void> {
    const state = this.#state;
    await inTurns(namesOfAll(state), (name) => {
      this.#services = this.#servicesWith(this.#services, [name], undefined);
    });
    await inTurns(state.exports.keys(), (name) => {
      this.#gatewayRoutes = this.#routesWith(this.#gatewayRoutes, [name], undefined);
    });
    this.#bundles = nextTable(types.bundle, emptyTable, this.#state.bundles);
  }

  /** The same tables, to be followed through other states: they share what these have in common. O(identities that have asked). */
  branch(): DiscoveryTables {
    const branch = new DiscoveryTables(this.#state);
    branch.#services = this.#services;
    branch.#bundles = this.#bundles;
    branch.#gatewayRoutes = this.#gatewayRoutes;
    branch.#inbound = new Map(this.#inbound);
    return branch;
  }

  /** How many resources were built and encoded, changed or not. */
  get built(): number {
    return this.#built;
  }

  /** Takes over `state`; true when any table changed. O(what changed), except that relationships concern every inbound table, and the cluster's own resource all its routes. */
  update(state: ClusterState): boolean {
    const before = this.#state;
    this.#state = state;
    const names = changedNames(before, state);
    const services = this.#servicesWith(this.#services, names.services, before);
    const gatewayRoutes = this.#routesWith(this.#gatewayRoutes, names.routes, before);
    const bundles = before.bundles === state.bundles ? this.#bundles : nextTable(types.bundle, this.#bundles, state.bundles);
    const isInboundChanged = this.#deriveInbound(before);
    const isChanged = isInboundChanged || services !== this.#services || gatewayRoutes !== this.#gatewayRoutes || bundles !== this.#bundles;
    this.#services = services;
    this.#gatewayRoutes = gatewayRoutes;
    this.#bundles = bundles;
    return isChanged;
  }

  /** What `subscriber` sees of a type; undefined where it has no business. */
  tableFor(subscriber: Subscriber, typeUrl: string): ResourceTable | undefined {
    switch (typeUrl) {
      case resourceTypeUrls.bundle:
        return this.#bundles;
      case resourceTypeUrls.service:
        return subscriber.kind === "workload" ? this.#services : undefined;
      case resourceTypeUrls.inbound:
        return subscriber.kind === "workload" ? this.#inboundFor(subscriber.identity) : undefined;
      case resourceTypeUrls.gatewayRoute:
        return subscriber.kind === "gateway" ? this.#gatewayRoutes : undefined;
      default:
        return undefined;
    }
  }

  #servicesWith(table: ResourceTable, names: Iterable<string>, before: ClusterState | undefined): ResourceTable {
    return this.#rebuilt(types.service, table, names, (of, name): ReadonlyMap<ServiceHost, ServiceView> => buildServicesNamed(of, name), before);
  }

  #routesWith(table: ResourceTable, names: Iterable<string>, before: ClusterState | undefined): ResourceTable {
    return this.#rebuilt(types.gatewayRoute, table, names, buildGatewayRoutesOf, before);
  }

  #deriveInbound(before: ClusterState): boolean {
    const state = this.#state;
    const isWhole = before.relationships !== state.relationships;
    let isChanged = false;
    const put = (identity: SpiffeId, make: (table: ResourceTable) => ResourceTable): void => {
      const table = this.#inbound.get(identity);
      const next = table === undefined ? undefined : make(table);
      if (next === undefined || next === table) return;
      this.#inbound.set(identity, next);
      isChanged = true;
    };
    if (isWhole) for (const identity of this.#inbound.keys()) put(identity, (table) => nextTable(types.inbound, table, buildInbound(state, identity)));
    if (isWhole) return isChanged;
    for (const name of changedKeys(before.services, state.services)) {
      const identities = [before, state].flatMap((of) => {
        const service = of.services.get(name);
        return service === undefined ? [] : identitiesOf(of, service);
      });
      for (const identity of new Set(identities)) put(identity, (table) => this.#rebuilt(types.inbound, table, [name], (of, at) => buildInboundOf(of, at, identity), before));
    }
    return isChanged;
  }

  /** `table` with the resources of some services built anew, and without those of theirs that are gone. */
  #rebuilt<T>(type: ResourceType<T>, table: ResourceTable, names: Iterable<string>, build: (state: ClusterState, name: string) => ReadonlyMap<string, T>, before: ClusterState | undefined): ResourceTable {
    let next = table;
    for (const name of names) {
      const resources = build(this.#state, name);
      if (before !== undefined) for (const gone of build(before, name).keys()) if (!resources.has(gone)) next = next.without(gone);
      for (const [resource, value] of resources) next = withResource(type, next, resource, value);
      this.#built += resources.size;
    }
    return next;
  }

  #inboundFor(identity: SpiffeId): ResourceTable {
    let table = this.#inbound.get(identity);
    if (table === undefined) {
      table = nextTable(types.inbound, emptyTable, buildInbound(this.#state, identity));
      this.#inbound.set(identity, table);
    }
    return table;
  }
}

/** Of all services, by `namespace/name`, each once; found as they are asked for. */
function* namesOfAll({ services, imports }: ClusterState): Generator<string, void, undefined> {
  yield* services.keys();
  const seen = new Set<string>();
  for (const imported of imports.values()) {
    const name = nameOf(imported);
    if (services.has(name) || seen.has(name)) continue;
    seen.add(name);
    yield name;
  }
}

/** Of which services, by `namespace/name`, the views and the gateway's routes may have changed. */
function changedNames(before: ClusterState, state: ClusterState): { readonly services: ReadonlySet<string>; readonly routes: ReadonlySet<string> } {
  const own = [...changedKeys(before.services, state.services), ...changedKeys(before.endpointsOf, state.endpointsOf)];
  const imported = changedKeys(before.imports, state.imports).flatMap((id) => [before.imports.get(id), state.imports.get(id)].flatMap((of) => (of === undefined ? [] : nameOf(of))));
  const targeted = changedKeys(before.policies, state.policies).map((target) => target.split("/").slice(0, 2).join("/"));
  const { cluster } = state.self;
  const isOtherCluster = before.clusters.get(cluster) !== state.clusters.get(cluster);
  const routes = isOtherCluster ? [...before.exports.keys(), ...state.exports.keys()] : changedKeys(before.exports, state.exports);
  return { services: new Set([...own, ...imported, ...targeted]), routes: new Set([...own, ...routes]) };
}

function nameOf({ spec: { namespace, name } }: ServiceImport): string {
  return `${namespace}/${name}`;
}
