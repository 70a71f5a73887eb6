import type { ProxyRecord } from "#federation/catalog/records.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Presence } from "#federation/wire/discovery-presence.ts";
import { LostProxies, nothingTaken, type LostProxy } from "./lost-proxies.ts";

export interface ProxyRollOptions {
  readonly clock: Clock;
  /** How long an identity of theirs holds, and so how long one that is not heard may route. */
  readonly identityMs: number;
  /** Those of an earlier term, by key. They are given the time to come back before they count as silent since this one began. */
  readonly known?: OrderedMap<ProxyRecord> | undefined;
}

/** The key of a proxy: by its identity alone nobody is told from others of the same service account. */
export function proxyKey({ identity, name }: Pick<ProxyRecord, "identity" | "name">): string {
  return `${identity}\0${name}`;
}

/**
 * Which proxies may route by what a plane has told them. Whoever says when it leaves is on the roll from its first word until its leave, or
 * until its identity has run out in silence; of the others nobody knows more than that they would come back soon.
 *
 * ```
 *   heard ── stream ends ──▶ silent ── for as long as an identity holds ──▶ forgotten
 *     ▲  └── leaves ──▶ forgotten │
 *     └────── a new stream ───────┘
 * ```
 */
export class ProxyRoll {
  readonly #clock: Clock;
  readonly #known: WatchedValue<OrderedMap<ProxyRecord>>;
  readonly #silent: LostProxies;
  /** Those that never said whether they would leave with a word. */
  readonly #returning = new LostProxies(proxyReturnMs);
  /** Wall-clock ms. */
  readonly #beganAtMs: number;

  constructor({ clock, identityMs, known = OrderedMap.of<ProxyRecord>() }: ProxyRollOptions) {
    this.#clock = clock;
    this.#beganAtMs = Math.floor(clock.nowMs());
    this.#known = new WatchedValue(known);
    this.#silent = new LostProxies(Math.max(identityMs, proxyReturnMs), (key) => this.#known.set(this.#known.current.without(key)));
    const ageOf = ({ silentSinceMs = this.#beganAtMs }: ProxyRecord): number => Math.max(0, this.#beganAtMs - silentSinceMs);
    const nowMs = clock.monotonicMs();
    for (const [key, record] of [...known].toSorted(([, a], [, b]) => ageOf(b) - ageOf(a))) {
      this.#silent.lose(key, { ...recordOf(record), takenVersion: nothingTaken }, nowMs - ageOf(record));
    }
    this.#silent.at(nowMs);
  }

  /** Those on the roll, by key; what a plane that comes after this one has to know. */
  get known(): Watched<OrderedMap<ProxyRecord>> {
    return this.#known;
  }

  /** A stream of the proxy's has begun. */
  heard(key: string): void {
    for (const lost of [this.#silent, this.#returning]) lost.find(key);
    const record = this.#known.current.get(key);
    if (record?.silentSinceMs !== undefined) this.#enter(key, record);
  }

  /** The proxy has said that it will say when it leaves. */
  stays(proxy: Omit<ProxyRecord, "silentSinceMs">): void {
    const key = proxyKey(proxy);
    if (!this.#known.current.has(key)) this.#enter(key, proxy);
  }

  /** The proxy's last stream has ended, after it had said `presence`. */
  ended(proxy: Omit<LostProxy, "ageMs">, presence: Presence | undefined): void {
    const key = proxyKey(proxy);
    const nowMs = this.#clock.monotonicMs();
    if (presence === "leaves") this.#known.set(this.#known.current.without(key));
    else if (presence === undefined && !this.#known.current.has(key)) this.#returning.lose(key, proxy, nowMs);
    else {
      this.#enter(key, proxy, Math.floor(this.#clock.nowMs()));
      this.#silent.lose(key, proxy, nowMs);
    }
  }

  /** Those on the roll that are not heard, the one that was lost first at the beginning. `nowMs` is monotonic. */
  silent(nowMs: number): readonly LostProxy[] {
    return this.#silent.at(nowMs);
  }

  /** All that are not heard and may route, or come back. */
  away(nowMs: number): readonly LostProxy[] {
    return [...this.#silent.at(nowMs), ...this.#returning.at(nowMs)];
  }

  /** Whoever has not come back to this term by now has been silent since it began, whatever number of terms follow. */
  settle(): void {
    for (const proxy of this.#silent.at(this.#clock.monotonicMs())) {
      const key = proxyKey(proxy);
      if (this.#known.current.get(key)?.silentSinceMs === undefined) this.#enter(key, proxy, this.#beganAtMs);
    }
  }

  #enter(key: string, proxy: Omit<ProxyRecord, "silentSinceMs">, silentSinceMs?: number): void {
    this.#known.set(this.#known.current.with(key, { ...recordOf(proxy), ...(silentSinceMs === undefined ? {} : { silentSinceMs }) }));
  }
}

function recordOf({ name, identity, kind }: Omit<ProxyRecord, "silentSinceMs">): ProxyRecord {
  return { name, identity, kind };
}
