/**
 * Longest time in which a proxy that lost its plane tries again: it waits for 15 s at most, with 30 % of jitter
 * (`proxy/control/discovery-client.ts`). Whoever is away for longer is not counted on.
 */
export const proxyReturnMs = 20_000;

/** Proxies that are remembered as lost; beyond it the one that was lost first is forgotten. */
export const lostProxiesMax = 10_000;

/** A proxy whose stream ended, and which may be about to come back. */
export interface LostProxy {
  readonly name: string;
  readonly ageMs: number;
}

/** The proxies that were connected a moment ago. Whoever only ended a program looks the same, until the time is over. */
export class LostProxies {
  /** By key, the one lost first at the beginning. */
  readonly #lost = new Map<string, { readonly name: string; readonly atMs: number }>();

  /** `key` tells proxies apart; `nowMs` is monotonic, here and below. */
  lose(key: string, name: string, nowMs: number): void {
    this.#lost.delete(key);
    this.#lost.set(key, { name, atMs: nowMs });
    this.#forget(nowMs);
  }

  /** It is back. */
  find(key: string): void {
    this.#lost.delete(key);
  }

  at(nowMs: number): readonly LostProxy[] {
    this.#forget(nowMs);
    return [...this.#lost.values()].map(({ name, atMs }) => ({ name, ageMs: nowMs - atMs }));
  }

  #forget(nowMs: number): void {
    for (const [key, { atMs }] of this.#lost) {
      if (this.#lost.size <= lostProxiesMax && nowMs - atMs < proxyReturnMs) break;
      this.#lost.delete(key);
    }
  }
}
