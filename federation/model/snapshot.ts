import type { Locality } from "./locality.ts";
import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "./names.ts";
import type { ServicePort, ServiceRef } from "./service.ts";
import type { TrafficPolicySpec } from "./traffic-policy.ts";
import type { TrustBundle } from "./trust-bundle.ts";

/** Position of a published state. */
export interface Generation {
  readonly epoch: number;
  readonly revision: number;
}

/** What the registry knows of an endpoint. Unknown (its plane or session is away) is not down. */
export type Readiness = "ready" | "notReady" | "unknown";

/** One running instance of a service, as its own cluster's proxies and gateway see it. */
export interface EndpointView {
  readonly id: string;
  /** A literal IP address and the inbound mTLS port of the instance's sidecar. */
  readonly address: string;
  readonly port: number;
  readonly locality: Locality;
  readonly weight: number;
  readonly readiness: Readiness;
}

export interface GatewayAddress {
  /** A literal IP address, or a DNS name until the proxy has resolved it. */
  readonly address: string;
  readonly port: number;
  /** The name that `address` was resolved from. */
  readonly name?: string;
}

/** The instances of a service in this proxy's own cluster, called directly. */
export interface LocalPlace {
  readonly kind: "local";
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly endpoints: readonly EndpointView[];
}

/** The instances of a service in another cluster, called through that cluster's gateways. */
export interface RemotePlace {
  readonly kind: "remote";
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly gateways: readonly GatewayAddress[];
  /** The cluster's own trust domain names its gateway: `spiffe://<td>/atoll/gateway/<cluster>`. */
  readonly gatewayIdentity: SpiffeId;
  readonly endpointsReady: number;
  /** Instances that were ready and are not heard any more; unknown is not down. Absent: none. */
  readonly endpointsUnknown?: number;
  readonly endpointsTotal: number;
  /** Wall-clock ms at which the origin said so; a label, never a reason to drop the place. */
  readonly asOfMs: number;
}

/** Where a service can be served; what lies outside a place knows nothing of its inside. */
export type Place = LocalPlace | RemotePlace;

/** One service that this proxy may call. */
export interface ServiceView {
  readonly ref: ServiceRef;
  readonly host: ServiceHost;
  /** Other names of it, lower case: `name.namespace`, `name.namespace.svc.clusterset.local` (own trust domain only). */
  readonly aliases: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Exactly these identities may answer for it. */
  readonly serverIdentities: readonly SpiffeId[];
  readonly policy: TrafficPolicySpec;
  readonly places: readonly Place[];
}

/** Who may call one port of the workload behind this proxy. A caller not named by an entry is refused. */
export interface InboundPort {
  readonly ref: ServiceRef;
  readonly port: ServicePort;
  readonly callers: readonly CallerRule[];
}

/** `principals` of `["*"]` means every workload of that trust domain. */
export interface CallerRule {
  readonly trustDomain: TrustDomainName;
  readonly principals: readonly (SpiffeId | "*")[];
}

/** One SNI that a gateway passes on, with where to. */
export interface GatewayRoute {
  readonly sni: string;
  readonly host: ServiceHost;
  readonly endpoints: readonly EndpointView[];
}

/** Everything a data plane process routes by: immutable, replaced whole, kept on disk as last known good. */
export interface Snapshot {
  readonly generation: Generation;
  readonly services: ReadonlyMap<ServiceHost, ServiceView>;
  /** Bundles this proxy may meet, its own trust domain's among them. */
  readonly bundles: ReadonlyMap<TrustDomainName, TrustBundle>;
  /** Sidecar only; keyed by SNI. */
  readonly inbound: ReadonlyMap<string, InboundPort>;
  /** Gateway only; keyed by SNI. */
  readonly gatewayRoutes: ReadonlyMap<string, GatewayRoute>;
}
