/** What choosing needs of the endpoints of one place: parallel arrays that their owner keeps up to date. */
export interface EndpointLoads {
  /** Requests on the way to each endpoint. */
  readonly inFlight: Int32Array;
  /** Relative capacity of each endpoint, above 0. */
  readonly weights: Float64Array;
  /** The indices that may be chosen come first in it: ready ones, or, when there is none, all. */
  readonly usable: Int32Array;
  usableCount: number;
}

/**
 * Power of two choices: of two endpoints drawn by one uniform number in [0, 1), the one with fewer requests in
 * flight for its weight. `avoid` (the endpoint tried before, or -1) is taken only when it is the only one. Returns an index,
 * or -1 when nothing is usable. No allocation, O(1).
 * @see https://www.eecs.harvard.edu/~michaelm/postscripts/tpds2001.pdf
 */
export function chooseEndpoint(loads: EndpointLoads, uniform: number, avoid: number): number {
  const { usable, usableCount } = loads;
  if (usableCount === 0) return -1;
  if (usableCount === 1) return usable[0] ?? -1;
  const scaled = uniform * usableCount;
  const first = Math.min(usableCount - 1, Math.floor(scaled));
  // The fraction that floor left over is itself uniform: it draws the second among the others.
  const step = 1 + Math.min(usableCount - 2, Math.floor((scaled - first) * (usableCount - 1)));
  const left = usable[first] ?? -1;
  const right = usable[(first + step) % usableCount] ?? -1;
  if (left === avoid) return right;
  if (right === avoid) return left;
  return loadOf(loads, right) < loadOf(loads, left) ? right : left;
}

function loadOf(loads: EndpointLoads, index: number): number {
  return ((loads.inFlight[index] ?? 0) + 1) / (loads.weights[index] ?? 1);
}
