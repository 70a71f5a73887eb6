import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CollectionState, CollectionView } from "#federation/catalog/collection.ts";
import type { FederatedTrustDomain, Service, ServiceExport } from "#federation/model/resource.ts";
import type { Task } from "#federation/runtime/lifecycle.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { ClusterStateSource, type ClusterStateInputs } from "./cluster-state-source.ts";
import { Registry } from "./registry/registry.ts";
import { defaultSessionLimits } from "./registry/session-table.ts";
import { ReplicatedView } from "./replicated/replicated-view.ts";

export interface ClusterViewsOptions extends Pick<ClusterStateInputs, "self" | "epoch" | "ownTrust" | "withdrawn" | "parseBundle" | "clock"> {
  readonly catalog: Catalog;
  readonly logger: Logger;
}

/** By kind. */
export interface StoredResources {
  readonly FederatedTrustDomain: Watched<CollectionState<FederatedTrustDomain>>;
  readonly Service: Watched<CollectionState<Service>>;
  readonly ServiceExport: Watched<CollectionState<ServiceExport>>;
}

/** What a cluster's plane follows in its store, and the state that it joins of it. */
export class ClusterViews {
  readonly replicated: ReplicatedView;
  readonly registry: Registry;
  readonly source: ClusterStateSource;
  readonly #federated: CollectionView<FederatedTrustDomain>;
  readonly #services: CollectionView<Service>;
  readonly #exports: CollectionView<ServiceExport>;

  constructor({ catalog, logger, ...inputs }: ClusterViewsOptions) {
    const { self, clock } = inputs;
    this.#federated = catalog.resources("FederatedTrustDomain").view();
    this.#services = catalog.resources("Service").view();
    this.#exports = catalog.resources("ServiceExport").view();
    this.replicated = new ReplicatedView(catalog.objects, logger);
    this.registry = new Registry({ self, endpoints: catalog.endpoints, services: this.#services.state, limits: defaultSessionLimits, clock, logger });
    this.source = new ClusterStateSource({
      ...inputs,
      federated: this.#federated.state,
      services: this.#services.state,
      exports: this.#exports.state,
      endpoints: this.registry.state,
      endpointsLoaded: this.registry.loaded,
      replicated: this.replicated.state,
      replicatedLoaded: this.replicated.loaded,
    });
  }

  /** The cluster's own resources as they were read last. */
  get stored(): StoredResources {
    return { FederatedTrustDomain: this.#federated.state, Service: this.#services.state, ServiceExport: this.#exports.state };
  }

  /** Keeps all of it current. `patiently` begins again what the store has interrupted. */
  following(patiently: (task: Task) => Task): readonly Task[] {
    return [
      patiently(this.#federated.run),
      patiently(this.#services.run),
      patiently(this.#exports.run),
      patiently((signal) => this.replicated.follow(signal)),
      patiently((signal) => this.registry.follow(signal)),
      (signal) => this.source.follow(signal),
    ];
  }
}
