import { isIP } from "node:net";
import type { GatewayAddress, Place, RemotePlace, ServiceView, Snapshot } from "#federation/model/snapshot.ts";

/** The names among the gateway addresses of a snapshot. Pure, O(places). */
export function gatewayNamesOf(snapshot: Snapshot): ReadonlySet<string> {
  const names = new Set<string>();
  for (const view of snapshot.services.values()) {
    for (const place of view.places) {
      if (place.kind === "local") continue;
      for (const { address } of place.gateways) if (isIP(address) === 0) names.add(address);
    }
  }
  return names;
}

/**
 * `view` with addresses in place of names, as `addressesOf` gives them; undefined or empty: not known. `before` is what was made of
 * this service last. A place whose new names nobody has answered for keeps the gateways it had: they may still be right, and none
 * are certainly wrong. Gives `before` itself where nothing differs, so that what was learned of its endpoints stays. Pure.
 */
export function withAddresses(view: ServiceView, before: ResolvedView | undefined, addressesOf: (name: string) => readonly string[] | undefined): ResolvedView {
  if (!view.places.some(hasNames)) return { source: view, view };
  const places = view.places.map((place) => (place.kind === "remote" ? resolvedPlace(place, before?.view.places, addressesOf) : place));
  if (before?.source === view && before.view.places.every((place, at) => isSamePlace(place, places[at]))) return before;
  return { source: view, view: { ...view, places } };
}

/** A service as it came, and as it is routed by. */
export interface ResolvedView {
  readonly source: ServiceView;
  readonly view: ServiceView;
}

function hasNames(place: Place): boolean {
  return place.kind === "remote" && place.gateways.some(({ address }) => isIP(address) === 0);
}

function resolvedPlace(place: RemotePlace, before: readonly Place[] | undefined, addressesOf: (name: string) => readonly string[] | undefined): RemotePlace {
  if (!hasNames(place)) return place;
  const gateways = new Map<string, GatewayAddress>();
  for (const gateway of place.gateways) {
    const { address, port } = gateway;
    if (isIP(address) !== 0) gateways.set(`${address}|${port}`, gateway);
    // Two names may lead to one gateway, which would then get twice its part.
    else for (const literal of addressesOf(address) ?? []) gateways.set(`${literal}|${port}`, gateways.get(`${literal}|${port}`) ?? { address: literal, port, name: address });
  }
  if (gateways.size > 0) return { ...place, gateways: [...gateways.values()] };
  const old = before?.find((other) => other.kind === "remote" && other.cluster === place.cluster && other.gatewayIdentity === place.gatewayIdentity);
  return { ...place, gateways: old?.kind === "remote" ? old.gateways : [] };
}

function isSamePlace(a: Place, b: Place | undefined): boolean {
  if (a === b) return true;
  if (a.kind !== "remote" || b?.kind !== "remote" || a.gateways.length !== b.gateways.length) return false;
  return a.gateways.every(({ address, port, name }, at) => {
    const other = b.gateways[at];
    return other?.address === address && other.port === port && other.name === name;
  });
}
