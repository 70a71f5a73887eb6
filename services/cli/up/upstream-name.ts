import type { TrustDomainName } from "#federation/model/names.ts";
import { serviceHost } from "#federation/model/service.ts";

/** What is called, as a proxy's configuration names it to callers of `from`: within a trust domain by namespace and name, else in full. Pure. */
export function upstreamNameOf(service: { readonly namespace: string; readonly name: string; readonly trustDomain: string }, from: string): string {
  return service.trustDomain === from ? `${service.namespace}/${service.name}` : serviceHost({ ...service, trustDomain: service.trustDomain as TrustDomainName });
}
