import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { benchFederation, benchTrustDomain } from "../bench-resources.ts";

/** Who exports, in one region, and who imports, in another. */
export const exporter = "shop-one";
export const importer = "shop-two";

/** Two clusters of two regions, with nobody but their planes: a change passes the store of each, the global plane's store, and two buses. */
export const livePlan: FederationPlan = {
  federation: benchFederation,
  regions: [
    { name: "here", displayName: "Here", coordinates: { latitude: 0, longitude: 0 } },
    { name: "there", displayName: "There", coordinates: { latitude: 0, longitude: 90 } },
  ],
  clusters: [
    { name: exporter, region: "here", trustDomain: benchTrustDomain, isSigner: true, exportNamespaces: ["web"] },
    { name: importer, region: "there", trustDomain: benchTrustDomain, isSigner: false, exportNamespaces: ["web"] },
  ],
  distances: [{ between: ["here", "there"], oneWayMs: 0 }],
  workloads: [],
  users: [],
  relationships: [],
  policies: [],
};
