import type { GatewayListing } from "#federation/model/resource.ts";
import type { RegionId } from "#federation/model/names.ts";

/** The addresses of a cluster's gateways that are meant for callers in `region`; where none names it, those that name no region. Pure. */
export function gatewaysForRegion(listings: readonly GatewayListing[], region: RegionId): readonly GatewayListing[] {
  const named = listings.filter((listing) => listing.regions?.includes(region) === true);
  return named.length > 0 ? named : listings.filter((listing) => listing.regions === undefined);
}
