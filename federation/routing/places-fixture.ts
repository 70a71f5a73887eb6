import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { LocalPlace, Place, RemotePlace, ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import type { LocalityPolicy } from "#federation/model/traffic-policy.ts";
import { unobservedCondition } from "#federation/model/verdict.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import type { Viewpoint } from "./order-places.ts";

/** The place of `cluster` in another cluster than the caller's. For tests. */
export function remotePlace(cluster: string, region: string, ready = 2, total = ready): RemotePlace {
  return {
    kind: "remote",
    cluster: cluster as ClusterId,
    region: region as RegionId,
    gateways: [{ address: "127.0.0.9", port: 15_443 }],
    gatewayIdentity: `spiffe://shop.example/atoll/gateway/${cluster}` as SpiffeId,
    endpointsReady: ready,
    endpointsTotal: total,
    asOfMs: 1_000,
  };
}

/** The place in the caller's own cluster. For tests. */
export function localPlace(cluster: string, region: string, ready = 2, total = ready): LocalPlace {
  return {
    kind: "local",
    cluster: cluster as ClusterId,
    region: region as RegionId,
    endpoints: Array.from({ length: total }, (_, index) => ({
      id: `${cluster}-${index}`,
      address: "127.0.0.1",
      port: 15_006,
      locality: { region: region as RegionId },
      weight: 1,
      readiness: index < ready ? "ready" : "notReady",
    })),
  };
}

/** A caller in `cluster` with measured round trips. For tests. */
export function viewpointOf(cluster: string, region: string, roundTripMs: Readonly<Record<string, number>> = {}): Viewpoint {
  return {
    cluster: cluster as ClusterId,
    region: region as RegionId,
    roundTripMs: new Map(Object.entries(roundTripMs).map(([name, ms]) => [name as ClusterId, ms])),
  };
}

/** web/catalog of shop.example at `places`. For tests. */
export function serviceAt(places: readonly Place[], locality: LocalityPolicy = { mode: "nearest" }): ServiceView {
  return {
    ref: { namespace: "web", name: "catalog", trustDomain: "shop.example" as TrustDomainName },
    host: "catalog.web.svc.shop.example" as ServiceHost,
    aliases: ["catalog.web", "catalog.web.svc.clusterset.local"],
    ports: [
      { name: "http", port: 8080, protocol: "http" },
      { name: "admin", port: 9000, protocol: "http" },
    ],
    serverIdentities: ["spiffe://shop.example/ns/web/sa/catalog" as SpiffeId],
    policy: { ...defaultTrafficPolicy, locality },
    places,
  };
}

/** A place that the data path has lowered. For tests. */
export const downCondition: PlaceCondition = { verdict: "down", lowered: true, rampRatio: 0, probeRatio: 0, reason: "requests to it failed in a row" };

/** A place that answers. For tests. */
export const healthyCondition: PlaceCondition = { ...unobservedCondition, verdict: "healthy", reason: "it answers requests" };
