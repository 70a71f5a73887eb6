import type { ServiceHost, SpiffeId, TrustDomainName } from "./names.ts";

export type PortProtocol = "http" | "tcp";

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** Who a service is: the same reference in two clusters of one trust domain is one service. */
export interface ServiceRef {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain: TrustDomainName;
}

/** `service.namespace.svc.<trust domain>`. */
export function serviceHost(ref: ServiceRef): ServiceHost {
  return `${ref.name}.${ref.namespace}.svc.${ref.trustDomain}` as ServiceHost;
}

/** `p<port>.<service host>`: the SNI by which gateways and sidecars know one port of a service. */
export function serviceSni(host: ServiceHost, port: number): string {
  return `p${port}.${host}`;
}

/** The identity of the workloads of `serviceAccount`: `spiffe://<trust domain>/ns/<namespace>/sa/<name>`. */
export function workloadId(trustDomain: TrustDomainName, namespace: string, serviceAccount: string): SpiffeId {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId;
}
