/**
 * Longest time in which a proxy that lost its plane tries again: it waits for 15 s at most, with 30 % of jitter
 * (`proxy/control/discovery-client.ts`). Of whoever does not say when it leaves, one that is away for longer is not counted on.
 */
export const proxyReturnMs = 20_000;

/** Proxies that are remembered as lost; beyond it the one that was lost first is forgotten. */
export const lostProxiesMax = 10_000;

/** A proxy whose stream has ended without its leave. */
export interface LostProxy {
  readonly name: string;
  /** For how long it was not heard. */
  readonly ageMs: number;
  /** The tables' version up to which it had taken everything. */
  readonly takenVersion: number;
}

interface Lost extends Omit<LostProxy, "ageMs"> {
  readonly atMs: number;
}

/** The proxies whose stream has ended, each for as long as it is counted on. */
export class LostProxies {
  readonly #keptMs: number;
  /** By key, the one lost first at the beginning. */
  readonly #lost = new Map<string, Lost>();

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
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
    }
  }
}
