/** How users come: in the end at a fixed rate, which grows evenly from nothing during the ramp. */
export interface ArrivalRate {
  readonly ratePerSecond: number;
  /** A whole crowd at once would only queue. */
  readonly rampMs: number;
}

/** When requests are planned, one after the other. Planned times do not depend on how the requests before went (an open loop). */
export class Arrivals {
  #rate: ArrivalRate = { ratePerSecond: 1, rampMs: 0 };
  #startMs = Number.POSITIVE_INFINITY;
  #number = 0;

  /** From `atMs` on at this rate; what was planned later than that is planned anew. */
  begin(rate: ArrivalRate, atMs: number): void {
    this.#rate = rate;
    this.#startMs = atMs;
    this.#number = 0;
  }

  /** When the next request is planned; never, before the first `begin`. */
  get nextMs(): number {
    return this.#startMs + arrivalMs(this.#number, this.#rate);
  }

  /** Takes the next request out of the plan; returns when it was planned. */
  take(): number {
    const plannedMs = this.nextMs;
    this.#number++;
    return plannedMs;
  }
}

/** When the request with this number (from 0) is planned, in ms after the start. */
export function arrivalMs(number: number, { ratePerSecond, rampMs }: ArrivalRate): number {
  const perMs = ratePerSecond / 1000;
  const duringRamp = (perMs * rampMs) / 2;
  return number < duringRamp ? Math.sqrt((2 * rampMs * number) / perMs) : rampMs + (number - duringRamp) / perMs;
}
