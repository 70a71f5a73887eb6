import type { RegionId } from "./names.ts";

/** Where something runs: things in one region, and more so in one zone, fail together. */
export interface Locality {
  readonly region: RegionId;
  readonly zone?: string;
}
