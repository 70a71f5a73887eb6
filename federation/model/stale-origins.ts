/**
 * Of which origins a relay does not know that it holds all of them as they are now: how old that knowledge is, in ms, undefined when there
 * has been none since the relay began. Origins that are not named are known to within a few seconds.
 */
export interface StaleOrigins {
  readonly named: ReadonlyMap<string, number | undefined>;
  /** Age that those which are not named have at most, because more are stale than are named; 0 when all of them are. */
  readonly unnamedAgeMs: number;
}

export const noStaleOrigins: StaleOrigins = { named: new Map(), unnamedAgeMs: 0 };

/** Origins that are named: a heartbeat has to stay small. */
export const staleOriginsMax = 64;

/** Beyond this age an origin is stale, in ms: three heartbeats were missed. */
export const freshAgeMsMax = 3_500;

/** The stalest of `ages`. O(n log n) in the stale ones. */
export function staleOriginsOf(ages: Iterable<readonly [origin: string, ageMs: number | undefined]>): StaleOrigins {
  const stale = [...ages].filter(([, ageMs]) => ageMs === undefined || ageMs > freshAgeMsMax);
  if (stale.length === 0) return noStaleOrigins;
  const rank = (ageMs: number | undefined): number => ageMs ?? Number.POSITIVE_INFINITY;
  const named = stale.toSorted(([, a], [, b]) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a))).slice(0, staleOriginsMax);
  const youngest = named.at(-1)?.[1];
  return { named: new Map(named), unnamedAgeMs: stale.length > named.length ? (youngest ?? Number.MAX_SAFE_INTEGER) : 0 };
}

/** How old what is held of `origin` is, when what was said of it is `saidAgeMs` old; undefined when nobody knows. */
export function originAgeMs(stale: StaleOrigins, origin: string, saidAgeMs: number): number | undefined {
  if (!stale.named.has(origin)) return stale.unnamedAgeMs === Number.MAX_SAFE_INTEGER ? undefined : stale.unnamedAgeMs + saidAgeMs;
  const ageMs = stale.named.get(origin);
  return ageMs === undefined ? undefined : ageMs + saidAgeMs;
}
