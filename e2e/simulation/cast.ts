import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Region } from "#federation/model/resource.ts";

/** A cluster of the simulated federation. */
export interface CastCluster {
  readonly name: ClusterId;
  readonly trustDomain: TrustDomainName;
  /** Its plane holds its trust domain's keys. */
  readonly isSigner: boolean;
}

export const federationName = "demo.atoll";
export const region = "eu-west" as RegionId;
export const shop = "shop.example" as TrustDomainName;
export const pay = "pay.example" as TrustDomainName;

/** Two clusters of one team, and one of another. */
export const clusters: readonly CastCluster[] = [
  { name: "shop-eu" as ClusterId, trustDomain: shop, isSigner: true },
  { name: "shop-us" as ClusterId, trustDomain: shop, isSigner: false },
  { name: "pay-eu" as ClusterId, trustDomain: pay, isSigner: true },
];

export const globalName = "global";
export const planeNames: readonly string[] = [globalName, ...clusters.map(({ name }) => name)];
export const namespace = "web";

export const regionResource: Region = { apiVersion, kind: "Region", metadata: { name: region }, spec: {} };

export function clusterResource({ name, trustDomain }: CastCluster): Cluster {
  return { apiVersion, kind: "Cluster", metadata: { name }, spec: { region, trustDomain, exportNamespaces: [namespace], gateways: [] } };
}
