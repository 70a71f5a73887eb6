/** What the users of one region saw in one window of time. Times are wall-clock ms, so that several processes' windows line up. */
export interface RequestWindow {
  readonly startMs: number;
  /** Requests whose planned time lies in the window. */
  readonly sent: number;
  /** Requests that were answered well in the window, by the region that answered. */
  readonly ok: Readonly<Record<string, number>>;
  /** Requests that failed in the window; the idempotent ones among them apart. */
  readonly failed: number;
  readonly failedIdempotent: number;
  /** Latency of the well-answered ones, from planned time to answer: pairs of a bucket's upper end in ms and its count. */
  readonly latencies: readonly (readonly [number, number])[];
  /** The longest time in ms by which a timer of the observing process came late. */
  readonly stallMs: number;
}

/** How one request ended. */
export interface RequestEnd {
  readonly atMs: number;
  readonly latencyMs: number;
  readonly isIdempotent: boolean;
  /** Where it was served; undefined when it failed. */
  readonly servedRegion: string | undefined;
}

interface Accumulator {
  sent: number;
  ok: Map<string, number>;
  failed: number;
  failedIdempotent: number;
  latencies: Map<number, number>;
  stallMs: number;
}

/** Buckets grow by 5 %, so a quantile read from them is at most 5 % too high. */
const bucketGrowth = Math.log(1.05);

/** The upper end, in ms, of the latency bucket that holds `latencyMs`. */
export function latencyBucketMs(latencyMs: number): number {
  const step = Math.max(0, Math.ceil(Math.log(Math.max(latencyMs, 1)) / bucketGrowth - 1e-9));
  return Math.round(Math.exp(step * bucketGrowth) * 100) / 100;
}

/** Counts by windows of `windowMs`; only the newest `capacity` windows are kept. */
export class RequestWindows {
  readonly #windowMs: number;
  readonly #capacity: number;
  readonly #windows = new Map<number, Accumulator>();

  constructor(options: { readonly windowMs: number; readonly capacity: number }) {
    this.#windowMs = options.windowMs;
    this.#capacity = options.capacity;
  }

  countSent(plannedMs: number): void {
    this.#at(plannedMs).sent++;
  }

  countEnd(end: RequestEnd): void {
    const window = this.#at(end.atMs);
    if (end.servedRegion === undefined) {
      window.failed++;
      if (end.isIdempotent) window.failedIdempotent++;
      return;
    }
    window.ok.set(end.servedRegion, (window.ok.get(end.servedRegion) ?? 0) + 1);
    const bucket = latencyBucketMs(end.latencyMs);
    window.latencies.set(bucket, (window.latencies.get(bucket) ?? 0) + 1);
  }

  noteStall(atMs: number, stallMs: number): void {
    const window = this.#at(atMs);
    window.stallMs = Math.max(window.stallMs, stallMs);
  }

  /** The windows that lie wholly in [fromMs, untilMs), oldest first; ones in which nothing happened are left out. */
  between(fromMs: number, untilMs: number): readonly RequestWindow[] {
    return [...this.#windows]
      .filter(([startMs]) => startMs >= fromMs && startMs + this.#windowMs <= untilMs)
      .sort(([a], [b]) => a - b)
      .map(([startMs, window]) => ({
        startMs,
        sent: window.sent,
        ok: Object.fromEntries(window.ok),
        failed: window.failed,
        failedIdempotent: window.failedIdempotent,
        latencies: [...window.latencies].sort(([a], [b]) => a - b),
        stallMs: Math.round(window.stallMs),
      }));
  }

  #at(atMs: number): Accumulator {
    const startMs = Math.floor(atMs / this.#windowMs) * this.#windowMs;
    let window = this.#windows.get(startMs);
    if (window === undefined) {
      window = { sent: 0, ok: new Map(), failed: 0, failedIdempotent: 0, latencies: new Map(), stallMs: 0 };
      this.#windows.set(startMs, window);
      if (this.#windows.size > this.#capacity) this.#windows.delete(Math.min(...this.#windows.keys()));
    }
    return window;
  }
}
