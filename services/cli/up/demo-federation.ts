import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { FederationPlan } from "./federation-plan.ts";

const shop = "shop.example";
const pay = "pay.example";

/** The path by which sidecars ask demo applications whether they are ready. */
export const demoReadinessPath = "/healthz";

/** What a storefront works on a request: little, so that a drill's shift shows what the mesh needs, and not an application. A drill has the one that dies work longer. */
export const storefrontWorkMs = 50;

/** Three regions, two teams. The users' rates are those of a host with plenty of room; `npm start` takes them from what the host carries. */
export const demoFederation: FederationPlan = {
  federation: "demo.atoll",
  regions: [
    { name: "eu-west", displayName: "Ireland", coordinates: { latitude: 53.3, longitude: -6.3 } },
    { name: "us-east", displayName: "Virginia", coordinates: { latitude: 38.9, longitude: -77.4 } },
    { name: "ap-south", displayName: "Mumbai", coordinates: { latitude: 19.1, longitude: 72.9 } },
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
    { namespace: "web", service: "storefront", trustDomain: shop, port: 80, app: { kind: "demo", role: "storefront", workMs: storefrontWorkMs }, readinessPath: demoReadinessPath, isExported: true, consumers: [] },
    { namespace: "web", service: "catalog", trustDomain: shop, port: 80, app: { kind: "demo", role: "catalog", workMs: 20 }, readinessPath: demoReadinessPath, isExported: true, consumers: [] },
    { namespace: "core", service: "payments", trustDomain: pay, port: 80, app: { kind: "demo", role: "payments", workMs: 20 }, readinessPath: demoReadinessPath, isExported: true, consumers: [shop] },
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
  policies: ["web/storefront", "web/catalog", "core/payments"].map((id) => nearestPolicy(id)),
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

/** The policy that says what is the default anyway: to be found and edited. */
function nearestPolicy(id: string): FederationPlan["policies"][number] {
  const [namespace = "", name = ""] = id.split("/");
  return { namespace, name, spec: { targetRef: { namespace, name, trustDomain: parseTrustDomainName(namespace === "core" ? pay : shop) }, locality: { mode: "nearest" } } };
}
