/** Acknowledgements that are remembered: some half a minute of them. */
const heardMax = 8;

interface Sample {
  readonly aheadMs: number;
  readonly roundTripMs: number;
}

/** How far our clock is from the plane's, by the times that its acknowledgements bear: the one that came back fastest of the last few speaks. */
export class PlaneClock {
  readonly #samples: Sample[] = [];

  /** Wall-clock ms: the plane's word, and ours when that came, `roundTripMs` after we had asked. */
  hear(planeMs: number, cameAtMs: number, roundTripMs: number): void {
    this.#samples.push({ aheadMs: cameAtMs - roundTripMs / 2 - planeMs, roundTripMs });
    if (this.#samples.length > heardMax) this.#samples.shift();
  }

  /** Our clock less the plane's, ms, right to within half a round trip; undefined until it has said a time. */
  get aheadMs(): number | undefined {
    let best: Sample | undefined;
    for (const sample of this.#samples) if (best === undefined || sample.roundTripMs < best.roundTripMs) best = sample;
    return best?.aheadMs;
  }
}
