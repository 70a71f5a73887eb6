import type { Registry } from "prom-client";
import { addGauge } from "./plane-metrics.ts";

/** How the names stand that a plane follows. */
export interface NameCounts {
  readonly unresolved: () => number;
  /** Beyond the bound on their number. */
  readonly leftOut: () => number;
}

/** Registers what a plane shows of the names that are dialled where it is; `names` is absent while the plane does not lead. */
export function addNameMetrics(registry: Registry, names: () => NameCounts | undefined): void {
  addGauge(registry, "atoll_names_unresolved", "Names of gateways, planes and engines that are dialled here and do not resolve.", () => names()?.unresolved() ?? 0);
  addGauge(registry, "atoll_names_left_out", "Names that are not looked up because there are too many others.", () => names()?.leftOut() ?? 0);
}
