/** How the knee is looked for. */
export interface KneeSearch {
  /** Where to begin; the closer, the sooner it is found. */
  readonly guess: number;
  /** Halvings of the last interval. */
  readonly halvings: number;
  /** Whether the path carries a rate. Asked for one at a time. */
  readonly carries: (requestsPerSecond: number) => Promise<boolean>;
}

/** From one rate to the next while it is not known on which side of the guess the knee lies. */
const stride = 1.2;
/** In 20 strides a rate grows 38-fold or shrinks to a 38th. */
const stridesMax = 20;

/** Searches that find out at their end that they were deceived, by a host that was busy meanwhile. */
const searchesMax = 3;

/** The highest rate found that the path carries. @throws Error when it carries next to nothing */
export async function findKnee({ guess, halvings, carries }: KneeSearch): Promise<number> {
  let knee = guess;
  for (let search = 0; search < searchesMax; search++) {
    let { low, high } = await bracket(knee, carries);
    for (let halving = 0; halving < halvings; halving++) {
      const middle = Math.sqrt(low * high);
      if (await carries(middle)) low = middle;
      else high = middle;
    }
    knee = low;
    // Had it been the host that was short a moment ago, and not the path, more would be carried now.
    if (search === searchesMax - 1 || !(await carries(knee * stride))) break;
    knee *= stride;
  }
  return knee;
}

async function bracket(guess: number, carries: KneeSearch["carries"]): Promise<{ readonly low: number; readonly high: number }> {
  const isLow = await carries(guess);
  let rate = guess;
  for (let strides = 0; strides < stridesMax; strides++) {
    const next = isLow ? rate * stride : rate / stride;
    const isCarried = await carries(next);
    if (isCarried !== isLow) return isLow ? { low: rate, high: next } : { low: next, high: rate };
    rate = next;
  }
  if (isLow) return { low: rate, high: rate };
  throw new Error(`the path does not even carry ${rate.toFixed(1)} requests per second`);
}
