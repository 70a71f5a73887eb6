/** Sessions to one target. */
export const sessionsMax = 16;
/** So many requests at a time have a session of their own, however short the way. */
const streamsPerSession = 256;
/** Behind a gateway another session, and so perhaps another instance, comes with so many requests at a time. */
const streamsPerInstance = 4;
/** A packet that is lost holds up all of a session for a round trip: from here on people notice. Ms. */
const longWayMs = 20;
/** So many requests at a time have a session of their own on such a way, where one instance is all that it leads to … */
const streamsPerLongSession = 8;
/** … up to so many: slowness brings requests, and must not bring handshakes without end. */
const longSessionsMax = 4;

/** A target, as far as it matters how many sessions lead there. */
export interface SessionTarget {
  /** How many instances answer behind its address. */
  readonly instances: number;
  /** There and back, with nobody late, ms; 0 until known. */
  readonly wayMs: number;
}

/** How many sessions so many requests at a time want: one where nothing is to be gained by more. */
export function sessionsWanted(streams: number, { instances, wayMs }: SessionTarget): number {
  const byLoad = 1 + Math.floor(streams / streamsPerSession);
  const bySpread = Math.min(instances, 1 + Math.floor(streams / streamsPerInstance));
  const byWay = instances > 1 || wayMs < longWayMs ? 1 : Math.min(longSessionsMax, 1 + Math.floor(streams / streamsPerLongSession));
  return Math.min(sessionsMax, Math.max(byLoad, bySpread, byWay));
}
