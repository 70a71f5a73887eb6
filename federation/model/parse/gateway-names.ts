import { isIP } from "node:net";
import type { GatewayListing } from "../resource.ts";

/** What lists gateways: an exported service, the spec of a cluster. */
interface Listed {
  readonly gateways: readonly GatewayListing[];
}

/**
 * `value` as other planes get it: literal addresses under `gateways`, names under `gatewayNames`. Planes of the version before names
 * refuse one among addresses, and the whole object with it; a field they do not know they ignore. Without names nothing differs.
 */
export function withNamesApart<T extends Listed>(value: T): T & { readonly gatewayNames?: readonly GatewayListing[] } {
  const names = value.gateways.filter(({ address }) => isIP(address) === 0);
  if (names.length === 0) return value;
  return { ...value, gateways: value.gateways.filter(({ address }) => isIP(address) !== 0), gatewayNames: names };
}

/** What `withNamesApart` took apart, put together again, to be parsed. Everything else comes back as it is. */
export function withNamesTogether(input: unknown): unknown {
  if (typeof input !== "object" || input === null || !("gatewayNames" in input) || !("gateways" in input)) return input;
  const { gatewayNames, ...value } = input;
  return Array.isArray(value.gateways) && Array.isArray(gatewayNames) ? { ...value, gateways: [...(value.gateways as unknown[]), ...(gatewayNames as unknown[])] } : input;
}
