import { dialledNames, hostOfAddress, type DialledName } from "#federation/runtime/dns/dialled-names.ts";
import { engineNames } from "#federation/runtime/engine-config.ts";
import type { Cluster } from "#federation/model/resource.ts";
import type { ClusterConfig } from "./config.ts";
import type { ClusterSelf } from "./cluster-state.ts";
import { gatewaysForRegion } from "./gateways-for-region.ts";

/** Where the names of a cluster stand. */
export interface ClusterNameSources {
  readonly config: Pick<ClusterConfig, "advertiseAddress" | "store" | "bus">;
  readonly self: ClusterSelf;
  /** `host:port` of the global plane. */
  readonly globalAddresses: readonly string[];
  readonly clusters: ReadonlyMap<string, Cluster>;
}

/**
 * The names that are dialled in this cluster: by its plane (engines, the global plane), and by its proxies (the plane itself, the gateways
 * of the other clusters that are meant for its region). Pure, O(clusters).
 */
export function clusterNames({ config, self, globalAddresses, clusters }: ClusterNameSources): readonly DialledName[] {
  const gateways = [...clusters.values()].filter(({ metadata }) => metadata.name !== self.cluster);
  return [
    ...engineNames(config, `of ${self.cluster}`),
    ...dialledNames(globalAddresses.map(hostOfAddress), "the global plane"),
    ...dialledNames([config.advertiseAddress], `the plane of ${self.cluster}`),
    ...gateways.flatMap(({ metadata, spec }) => dialledNames(gatewaysForRegion(spec.gateways, self.region).map(({ address }) => address), `a gateway of ${metadata.name}`)),
  ];
}
