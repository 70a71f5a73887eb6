import type { X509Svid } from "#federation/identity/svid.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { PlaneConnection } from "./plane-connection.ts";
import type { Plane, PlaneDialing } from "./plane-link.ts";

/** A connection as a proxy has it, to a plane that stays the same, by an identity that does. */
export function connectionTo(plane: Plane, svid: X509Svid, dialing: Partial<PlaneDialing> = {}): PlaneConnection {
  return new PlaneConnection({ plane: new WatchedValue(plane), svid: () => svid, dialing: { clock: systemClock, lookup: createDnsLookup(), ...dialing }, random: systemRandom, logger: silentLogger });
}
