import type { Cluster } from "#federation/model/resource.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { ClusterLinksOptions } from "./cluster-links.ts";

/** Links of a global plane that publishes nothing and keeps nothing yet. */
export function emptyLinks(clusters: Watched<ReadonlyMap<string, Cluster>>): Pick<ClusterLinksOptions, "federation" | "epoch" | "clusters" | "objects" | "offerContext" | "objectsOf"> {
  return {
    federation: "demo.atoll",
    epoch: 1,
    clusters,
    objects: new WatchedValue({ revision: 0, objects: new Map() }),
    offerContext: () => ({ clusters: clusters.current, relationships: [], inForce: () => undefined }),
    objectsOf: () => ({ count: 0, has: () => false }),
  };
}
