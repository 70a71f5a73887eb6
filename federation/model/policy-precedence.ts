import { resourceId, type TrafficPolicy } from "./resource.ts";

/** Of several policies for one service the first in this order holds: by name, then by namespace. */
export function comparePolicies(a: TrafficPolicy, b: TrafficPolicy): number {
  if (a.metadata.name !== b.metadata.name) return a.metadata.name < b.metadata.name ? -1 : 1;
  return resourceId(a.metadata) < resourceId(b.metadata) ? -1 : 1;
}
