import { demoFederation, demoReadinessPath } from "#services/cli/up/demo-federation.ts";
import type { FederationPlan, WorkloadPlan } from "#services/cli/up/federation-plan.ts";

const shop = "shop.example";
const pay = "pay.example";

/** `core/ledger`: exported to the shop like payments, but outside the relationship. */
const ledger: WorkloadPlan = { namespace: "core", service: "ledger", trustDomain: pay, port: 80, app: { kind: "demo", role: "payments", workMs: 5 }, readinessPath: demoReadinessPath, isExported: true, consumers: [shop] };

/** The same service with a demo application that works so long on a request. */
function working(workload: WorkloadPlan, workMs: number): WorkloadPlan {
  return workload.app.kind === "demo" ? { ...workload, app: { ...workload.app, workMs } } : workload;
}

/**
 * Two regions, the shop in both and the other team in one, with few users: enough for every relation between two
 * processes that the demo has, in two thirds of its processes and a tenth of its load.
 */
export const twoRegions: FederationPlan = {
  ...demoFederation,
  regions: demoFederation.regions.filter(({ name }) => name !== "ap-south"),
  clusters: demoFederation.clusters.filter(({ name }) => ["shop-eu", "shop-us", "pay-eu-1"].includes(name)),
  distances: demoFederation.distances.filter(({ between }) => !between.includes("ap-south")),
  workloads: [...demoFederation.workloads.map((workload) => working(workload, 5)), ledger],
  users: [
    { region: "eu-west", cluster: "shop-eu", ratePerSecond: 40 },
    { region: "us-east", cluster: "shop-us", ratePerSecond: 20 },
  ],
};

/** One cluster with one service: the smallest federation that serves anything. */
export const oneCluster: FederationPlan = {
  federation: "small.atoll",
  regions: demoFederation.regions.filter(({ name }) => name === "eu-west"),
  clusters: demoFederation.clusters.filter(({ name }) => name === "shop-eu"),
  distances: [],
  workloads: demoFederation.workloads.filter(({ service }) => service === "catalog").map((workload) => working(workload, 5)),
  users: [],
  relationships: [],
  policies: [],
};

/** One cluster with two services, each behind its sidecar: the smallest federation with a mesh hop in it. */
export const onePath: FederationPlan = {
  federation: "bench.atoll",
  // The second region is empty: the network's relay wants at least one link.
  regions: [
    { name: "here", displayName: "Here", coordinates: { latitude: 0, longitude: 0 } },
    { name: "there", displayName: "There", coordinates: { latitude: 0, longitude: 90 } },
  ],
  clusters: [{ name: "bench", region: "here", trustDomain: shop, isSigner: true, exportNamespaces: ["web"] }],
  distances: [{ between: ["here", "there"], oneWayMs: 1 }],
  workloads: [
    { namespace: "web", service: "storefront", trustDomain: shop, port: 80, app: { kind: "demo", role: "storefront", workMs: 0 }, readinessPath: demoReadinessPath, isExported: true, consumers: [] },
    { namespace: "web", service: "catalog", trustDomain: shop, port: 80, app: { kind: "demo", role: "catalog", workMs: 0 }, readinessPath: demoReadinessPath, isExported: true, consumers: [] },
  ],
  users: [],
  relationships: [],
  policies: [],
};
