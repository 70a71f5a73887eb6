import { demoFederation, type FederationPlan, type WorkloadPlan } from "#services/cli/up/demo-federation.ts";

const shop = "shop.example";
const pay = "pay.example";

/** `core/ledger`: exported to the shop like payments, but outside the relationship. */
const ledger: WorkloadPlan = { namespace: "core", service: "ledger", trustDomain: pay, port: 80, kind: "payments", workMs: 5, consumers: [shop] };

/**
 * Two regions, the shop in both and the other team in one, with few users: enough for every relation between two
 * processes that the demo has, in two thirds of its processes and a tenth of its load.
 */
export const twoRegions: FederationPlan = {
  ...demoFederation,
  regions: demoFederation.regions.filter(({ name }) => name !== "ap-south"),
  clusters: demoFederation.clusters.filter(({ name }) => ["shop-eu", "shop-us", "pay-eu-1"].includes(name)),
  distances: demoFederation.distances.filter(({ between }) => !between.includes("ap-south")),
  workloads: [...demoFederation.workloads.map((workload) => ({ ...workload, workMs: 5 })), ledger],
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
  workloads: demoFederation.workloads.filter(({ service }) => service === "catalog").map((workload) => ({ ...workload, workMs: 5 })),
  users: [],
  relationships: [],
};

/** One cluster with two services, each behind its sidecar: the smallest federation with a mesh hop in it. */
export const onePath: FederationPlan = {
  federation: "bench.atoll",
  // The second region is empty: the network's relay wants at least one link.
  regions: [
    { name: "here", displayName: "Here", latitude: 0, longitude: 0 },
    { name: "there", displayName: "There", latitude: 0, longitude: 90 },
  ],
  clusters: [{ name: "bench", region: "here", trustDomain: shop, isSigner: true, exportNamespaces: ["web"] }],
  distances: [{ between: ["here", "there"], oneWayMs: 1 }],
  workloads: [
    { namespace: "web", service: "storefront", trustDomain: shop, port: 80, kind: "storefront", workMs: 0, consumers: [] },
    { namespace: "web", service: "catalog", trustDomain: shop, port: 80, kind: "catalog", workMs: 0, consumers: [] },
  ],
  users: [],
  relationships: [],
};
