/** A federation on one machine, as data: what `atoll up` starts. */
export interface FederationPlan {
  /** The federation's own trust domain. */
  readonly federation: string;
  readonly regions: readonly RegionPlan[];
  readonly clusters: readonly ClusterPlan[];
  /** Delay of one direction between two regions; every pair of regions has one. */
  readonly distances: readonly { readonly between: readonly [string, string]; readonly oneWayMs: number }[];
  readonly workloads: readonly WorkloadPlan[];
  readonly users: readonly UsersPlan[];
  readonly relationships: readonly RelationshipPlan[];
}

export interface RegionPlan {
  readonly name: string;
  readonly displayName: string;
  readonly latitude: number;
  readonly longitude: number;
}

export interface ClusterPlan {
  readonly name: string;
  readonly region: string;
  readonly trustDomain: string;
  /** Holds the trust domain's root and authority; exactly one per trust domain, the first in the list. */
  readonly isSigner: boolean;
  readonly exportNamespaces: readonly string[];
}

/** A service that runs in every cluster of its trust domain: one instance each, behind a sidecar. */
export interface WorkloadPlan {
  readonly namespace: string;
  readonly service: string;
  readonly trustDomain: string;
  readonly port: number;
  readonly kind: "storefront" | "catalog" | "payments";
  readonly workMs: number;
  /** Who may import it besides its own trust domain. */
  readonly consumers: readonly string[];
}

/** Callers in one region with an edge sidecar of their own, which outlives the region. */
export interface UsersPlan {
  readonly region: string;
  /** Whose workload the edge sidecar is. */
  readonly cluster: string;
  readonly ratePerSecond: number;
}

export interface RelationshipPlan {
  readonly name: string;
  readonly caller: { readonly trustDomain: string; readonly principals: readonly string[] };
  readonly callee: { readonly trustDomain: string; readonly services: readonly string[] };
  readonly validDays: number;
}

const shop = "shop.example";
const pay = "pay.example";

/** What a storefront works on a request: little, so that a drill's shift shows what the mesh needs, and not an application. A drill has the one that dies work longer. */
export const storefrontWorkMs = 50;

/** Three regions, two teams. The users' rates are those of a host with plenty of room; `npm start` takes them from what the host carries. */
export const demoFederation: FederationPlan = {
  federation: "demo.atoll",
  regions: [
    { name: "eu-west", displayName: "Ireland", latitude: 53.3, longitude: -6.3 },
    { name: "us-east", displayName: "Virginia", latitude: 38.9, longitude: -77.4 },
    { name: "ap-south", displayName: "Mumbai", latitude: 19.1, longitude: 72.9 },
  ],
  clusters: [
    { name: "shop-eu", region: "eu-west", trustDomain: shop, isSigner: true, exportNamespaces: ["web"] },
    { name: "pay-eu-1", region: "eu-west", trustDomain: pay, isSigner: true, exportNamespaces: ["core"] },
    { name: "shop-us", region: "us-east", trustDomain: shop, isSigner: false, exportNamespaces: ["web"] },
    { name: "pay-us-1", region: "us-east", trustDomain: pay, isSigner: false, exportNamespaces: ["core"] },
    { name: "shop-ap", region: "ap-south", trustDomain: shop, isSigner: false, exportNamespaces: ["web"] },
  ],
  distances: [
    { between: ["eu-west", "us-east"], oneWayMs: 40 },
    { between: ["eu-west", "ap-south"], oneWayMs: 90 },
    { between: ["us-east", "ap-south"], oneWayMs: 140 },
  ],
  workloads: [
    { namespace: "web", service: "storefront", trustDomain: shop, port: 80, kind: "storefront", workMs: storefrontWorkMs, consumers: [] },
    { namespace: "web", service: "catalog", trustDomain: shop, port: 80, kind: "catalog", workMs: 20, consumers: [] },
    { namespace: "core", service: "payments", trustDomain: pay, port: 80, kind: "payments", workMs: 20, consumers: [shop] },
  ],
  users: [
    { region: "eu-west", cluster: "shop-eu", ratePerSecond: 335 },
    { region: "us-east", cluster: "shop-us", ratePerSecond: 100 },
    { region: "ap-south", cluster: "shop-ap", ratePerSecond: 85 },
  ],
  relationships: [
    {
      name: "shop-calls-payments",
      caller: { trustDomain: shop, principals: ["ns/web/sa/storefront"] },
      callee: { trustDomain: pay, services: ["core/payments"] },
      validDays: 90,
    },
  ],
};

/** The same without its third region: for a host that is too small or too busy for three. */
export const twoRegionDemo: FederationPlan = {
  ...demoFederation,
  regions: demoFederation.regions.filter(({ name }) => name !== "ap-south"),
  clusters: demoFederation.clusters.filter(({ region }) => region !== "ap-south"),
  distances: demoFederation.distances.filter(({ between }) => !between.includes("ap-south")),
  users: demoFederation.users.filter(({ region }) => region !== "ap-south"),
};

/** `plan` with the users' rates that `rates` has for their regions. */
export function withRates(plan: FederationPlan, rates: ReadonlyMap<string, number>): FederationPlan {
  return { ...plan, users: plan.users.map((users) => ({ ...users, ratePerSecond: rates.get(users.region) ?? users.ratePerSecond })) };
}

/** The delay of one direction between two regions; 0 within one. */
export function oneWayMs(plan: FederationPlan, from: string, to: string): number {
  if (from === to) return 0;
  const found = plan.distances.find(({ between }) => between.includes(from) && between.includes(to));
  if (found === undefined) throw new Error(`no distance between ${from} and ${to}`);
  return found.oneWayMs;
}
