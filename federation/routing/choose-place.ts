import type { PlaceShares } from "./share-load.ts";

/** More tries than a request can have (first, free one elsewhere, two from the budget, and room); further ones are not remembered. */
export const triesRememberedMax = 8;

/** The places that one request has tried. One for each exchange, reset between requests, so that choosing allocates nothing. */
export class TriedPlaces {
  readonly #indices = new Int32Array(triesRememberedMax);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  reset(): void {
    this.#count = 0;
  }

  /** `index` is one that `choosePlace` returned, for the same order of places. */
  add(index: number): void {
    if (this.#count < triesRememberedMax) this.#indices[this.#count++] = index;
  }

  has(index: number): boolean {
    for (let at = 0; at < this.#count; at++) {
      if (this.#indices[at] === index) return true;
    }
    return false;
  }
}

/**
 * Chooses a place by one uniform number in [0, 1): by share among the places not tried yet, then the untried ones in
 * the order of last resort, then (everything tried) the tried ones by share again. Returns an index into
 * `order.places`, or -1 only when there is no place at all. No allocation; O(places).
 */
export function choosePlace(load: PlaceShares, uniform: number, tried: TriedPlaces): number {
  const { shares, lastResort } = load;
  const count = shares.length;
  if (tried.count > 0) {
    let left = 0;
    for (let index = 0; index < count; index++) {
      if (!tried.has(index)) left += shares[index] ?? 0;
    }
    if (left > 0) return pick(shares, uniform * left, tried);
    for (let at = 0; at < count; at++) {
      const index = lastResort[at] ?? -1;
      if (!tried.has(index)) return index;
    }
  }
  const chosen = pick(shares, uniform, undefined);
  return chosen === -1 ? (lastResort[0] ?? -1) : chosen;
}

/** The place at `target` on the line of shares laid end to end; rounding may run past the end, which is the last one with a share. */
function pick(shares: Float64Array, target: number, tried: TriedPlaces | undefined): number {
  let last = -1;
  let passed = 0;
  for (let index = 0; index < shares.length; index++) {
    const share = shares[index] ?? 0;
    if (share === 0 || tried?.has(index) === true) continue;
    last = index;
    passed += share;
    if (target < passed) return index;
  }
  return last;
}
