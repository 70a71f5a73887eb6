/** How users come: in the end at a fixed rate, which grows evenly from nothing during the ramp. */
export interface Arrivals {
  readonly ratePerSecond: number;
  /** Programs that have just started run slowly, and a whole crowd at once would only queue. */
  readonly rampMs: number;
}

/**
 * When the request with this number (from 0) is planned, in ms after the start. Planned times do not depend on how the
 * requests before went (an open loop).
 */
export function arrivalMs(number: number, { ratePerSecond, rampMs }: Arrivals): number {
  const perMs = ratePerSecond / 1000;
  const duringRamp = (perMs * rampMs) / 2;
  return number < duringRamp ? Math.sqrt((2 * rampMs * number) / perMs) : rampMs + (number - duringRamp) / perMs;
}
