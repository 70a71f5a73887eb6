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
