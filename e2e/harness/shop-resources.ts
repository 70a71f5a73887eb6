import type { AdminClient } from "#federation/admin-api/client.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Region, type Resource, type TrafficPolicy } from "#federation/model/resource.ts";

const { signal } = new AbortController();

export const shop = "shop.example" as TrustDomainName;

export const euWest: Region = { apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} };

/** A cluster of the shop's that exports the namespace `web`. */
export function shopCluster(name: string): Cluster {
  return {
    apiVersion,
    kind: "Cluster",
    metadata: { name },
    spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: ["web"], gateways: [{ address: "127.0.0.1", port: 15_443 }] },
  };
}

/** A policy for the service of the same name. */
export function policy(name: string, requestMs = 1_000): TrafficPolicy {
  return { apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name }, spec: { targetRef: { namespace: "web", name }, timeouts: { requestMs } } };
}

/** A service and its export. */
export function exported(name: string): readonly Resource[] {
  return [
    { apiVersion, kind: "Service", metadata: { namespace: "web", name }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] } },
    { apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name }, spec: {} },
  ];
}

/** One after the other. */
export async function applyAll(admin: AdminClient, resources: readonly Resource[]): Promise<void> {
  for (const resource of resources) await admin.apply(resource, {}, signal);
}
