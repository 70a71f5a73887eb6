import type { ProxyRecord } from "#federation/catalog/records.ts";

/** Proxies that are remembered as lost; beyond it the one that was lost first is forgotten. */
export const lostProxiesMax = 10_000;

/** Of whom nobody knows what it has taken: above no version. */
export const nothingTaken = -1;

/** A proxy whose stream has ended without its leave. */
export interface LostProxy extends Omit<ProxyRecord, "silentSinceMs"> {
  /** For how long it was not heard. */
  readonly ageMs: number;
  /** The tables' version up to which it had taken everything; `nothingTaken` where that is not known. */
  readonly takenVersion: number;
}

interface Lost extends Omit<LostProxy, "ageMs"> {
  readonly atMs: number;
}

/** The proxies whose stream has ended, each for as long as it is counted on. */
export class LostProxies {
  readonly #keptMs: number;
  readonly #onForgotten: (key: string) => void;
  /** By key, the one lost first at the beginning. */
  readonly #lost = new Map<string, Lost>();

  /** `onForgotten` hears of each that has been away for too long, or for whom there is no room. */
  constructor(keptMs: number, onForgotten: (key: string) => void = () => undefined) {
    this.#keptMs = keptMs;
    this.#onForgotten = onForgotten;
  }

  /** `key` tells proxies apart; `nowMs` is monotonic, here and below. */
  lose(key: string, proxy: Omit<LostProxy, "ageMs">, nowMs: number): void {
    this.#lost.delete(key);
    this.#lost.set(key, { ...proxy, atMs: nowMs });
    this.#forget(nowMs);
  }

  /** It is back, or has left. */
  find(key: string): void {
    this.#lost.delete(key);
  }

  at(nowMs: number): readonly LostProxy[] {
    this.#forget(nowMs);
    return [...this.#lost.values()].map(({ atMs, ...proxy }) => ({ ...proxy, ageMs: nowMs - atMs }));
  }

  #forget(nowMs: number): void {
    for (const [key, { atMs }] of this.#lost) {
      if (this.#lost.size <= lostProxiesMax && nowMs - atMs < this.#keptMs) break;
      this.#lost.delete(key);
      this.#onForgotten(key);
    }
  }
}
