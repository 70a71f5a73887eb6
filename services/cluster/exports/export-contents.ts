import { parseClusterId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { encodeExportedService } from "#federation/model/parse/parse-resource.ts";
import type { Consumer } from "#federation/model/resource.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { ClusterState } from "../cluster-state.ts";
import { deriveExport, type DerivedExport } from "./derive-exports.ts";
import type { OwnContent } from "./own-objects.ts";

/** What this cluster's exports should say, followed through its states. */
export class ExportContents {
  #state: Pick<ClusterState, "exports" | "services" | "endpointsOf" | "clusters"> | undefined;
  #contents = OrderedMap.of<OwnContent>();

  /** By `namespace/name`. O(changed services), all of them when the cluster itself has changed. */
  next(state: ClusterState): OrderedMap<OwnContent> {
    for (const key of this.#changed(state)) {
      const derived = deriveExport(state, key);
      this.#contents = derived === undefined ? this.#contents.without(key) : this.#contents.with(key, contentOf(derived));
    }
    this.#state = state;
    return this.#contents;
  }

  #changed(state: ClusterState): Iterable<string> {
    const before = this.#state;
    const { cluster } = state.self;
    if (before === undefined || before.clusters.get(cluster) !== state.clusters.get(cluster)) return new Set([...(before?.exports.keys() ?? []), ...state.exports.keys()]);
    return new Set([...changedKeys(before.exports, state.exports), ...changedKeys(before.services, state.services), ...changedKeys(before.endpointsOf, state.endpointsOf)]);
  }
}

function contentOf({ value, consumers }: DerivedExport): OwnContent {
  const audience = consumers.map(audienceName).toSorted();
  return {
    fingerprint: JSON.stringify([value, audience]),
    audience,
    encode: (nowMs) => encodeExportedService({ ...value, asOfMs: Math.floor(nowMs) }),
  };
}

/** How a consumer is named in an object's audience. */
export function audienceName(consumer: Consumer): string {
  return "cluster" in consumer ? `${clusterPrefix}${consumer.cluster}` : consumer.trustDomain;
}

/** The consumer that an audience's name stands for. */
export function consumerOf(name: string): Consumer {
  return name.startsWith(clusterPrefix) ? { cluster: parseClusterId(name.slice(clusterPrefix.length)) } : { trustDomain: parseTrustDomainName(name) };
}

const clusterPrefix = "cluster:";
