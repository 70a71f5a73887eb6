/** Ids are strings that only their `parse*` makes: a plain string cannot be passed where a checked one is meant. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type RegionId = Branded<"RegionId">;
export type ClusterId = Branded<"ClusterId">;
export type TrustDomainName = Branded<"TrustDomainName">;
/** `spiffe://<trust domain>/<path>`. */
export type SpiffeId = Branded<"SpiffeId">;
/** `service.namespace.svc.<trust domain>`, lower case, without a trailing dot: how a service is called on the wire. */
export type ServiceHost = Branded<"ServiceHost">;
