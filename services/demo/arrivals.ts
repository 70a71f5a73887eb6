/** Users come by and by: programs that have just started run slowly, and a whole crowd at once would only queue. */
export const rampMs = 10_000;

/**
 * When the request with this number (from 0) is planned, in ms after the start: the rate grows evenly during `rampMs` and
 * then stays. Planned times do not depend on how the requests before went (an open loop).
 */
export function arrivalMs(number: number, ratePerSecond: number): number {
  const perMs = ratePerSecond / 1000;
  const duringRamp = (perMs * rampMs) / 2;
  return number < duringRamp ? Math.sqrt((2 * rampMs * number) / perMs) : rampMs + (number - duringRamp) / perMs;
}
