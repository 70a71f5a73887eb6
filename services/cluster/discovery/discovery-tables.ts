import { encodeBundle, encodeGatewayRoute, encodeInbound, encodeService, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { ClusterState } from "../cluster-state.ts";
import { buildGatewayRoutes, buildInbound, buildServices } from "./build-resources.ts";
import { emptyTable, nextTable, type ResourceTable } from "./resource-table.ts";

/** Who asks: what it may see follows from its identity, never from what it says of itself. */
export type Subscriber = { readonly kind: "workload"; readonly identity: SpiffeId } | { readonly kind: "gateway"; readonly identity: SpiffeId };

/**
 * The tables that all streams of this cluster share, derived anew from each state. Whatever did not change keeps its
 * encoded bytes; inbound tables exist once for each identity that has asked.
 */
export class DiscoveryTables {
  #state: ClusterState;
  #services = emptyTable;
  #bundles = emptyTable;
  #gatewayRoutes = emptyTable;
  #inbound = new Map<SpiffeId, ResourceTable>();
  #version = 0;

  constructor(state: ClusterState) {
    this.#state = state;
    this.#derive();
  }

  /** Grows whenever any table changes; the first one is 1. */
  get version(): number {
    return this.#version;
  }

  /** Takes over `state`; true when any table changed. */
  update(state: ClusterState): boolean {
    this.#state = state;
    return this.#derive();
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

  #derive(): boolean {
    const before = [this.#services, this.#bundles, this.#gatewayRoutes, ...this.#inbound.values()];
    this.#services = nextTable(resourceTypeUrls.service, this.#services, buildServices(this.#state), encodeService);
    this.#bundles = nextTable(resourceTypeUrls.bundle, this.#bundles, this.#state.bundles, encodeBundle);
    this.#gatewayRoutes = nextTable(resourceTypeUrls.gatewayRoute, this.#gatewayRoutes, buildGatewayRoutes(this.#state), encodeGatewayRoute);
    for (const [identity, table] of this.#inbound) this.#inbound.set(identity, nextTable(resourceTypeUrls.inbound, table, buildInbound(this.#state, identity), encodeInbound));
    const after = [this.#services, this.#bundles, this.#gatewayRoutes, ...this.#inbound.values()];
    const isChanged = after.some((table, index) => table !== before[index]);
    if (isChanged || this.#version === 0) this.#version++;
    return isChanged;
  }

  #inboundFor(identity: SpiffeId): ResourceTable {
    let table = this.#inbound.get(identity);
    if (table === undefined) {
      table = nextTable(resourceTypeUrls.inbound, emptyTable, buildInbound(this.#state, identity), encodeInbound);
      this.#inbound.set(identity, table);
    }
    return table;
  }
}
