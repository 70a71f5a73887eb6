import type { BundleEndpointDescription } from "#federation/model/federation-description.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { bundleEndpointId } from "#federation/model/spiffe-id.ts";
import { localAddress } from "./layout.ts";
import { planeName } from "./planned-process.ts";
import type { Topology } from "./topology.ts";

/** Where a plane serves its trust domain's bundle, as whoever fetches it has to be told. */
export interface BundleAddress {
  readonly trustDomain: string;
  readonly url: string;
  readonly profile: BundleEndpointDescription["profile"];
  /** By which it is known with `https_spiffe`. */
  readonly spiffeId?: string;
}

/** The bundle endpoints of a federation on this machine. Pure. */
export function bundleAddresses({ plan, processes }: Topology): readonly BundleAddress[] {
  return plan.clusters.flatMap(({ name, trustDomain, bundleEndpoint }) => {
    if (bundleEndpoint === undefined) return [];
    const { profile } = bundleEndpoint;
    const plane = processes.find(({ spec }) => spec.name === planeName(name));
    const { port } = (plane?.config["bundleEndpoint"] ?? {}) as { readonly port?: number };
    return [{ trustDomain, url: `https://${localAddress}:${String(port)}/`, profile, ...(profile === "https_spiffe" ? { spiffeId: bundleEndpointId(trustDomain as TrustDomainName) } : {}) }];
  });
}
