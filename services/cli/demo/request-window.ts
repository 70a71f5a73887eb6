/** One window of what the users of a region saw, as their process tells it over its control socket. */
export interface RequestWindow {
  readonly startMs: number;
  readonly sent: number;
  /** Well-answered requests by the region that answered. */
  readonly ok: Readonly<Record<string, number>>;
  readonly failed: number;
  readonly failedIdempotent: number;
  /** Pairs of a latency bucket's upper end in ms and its count. */
  readonly latencies: readonly (readonly [number, number])[];
  /** By how much the observer's timers came late, ms. */
  readonly stallMs: number;
}

/** Several windows added up. */
export interface WindowSum {
  readonly sent: number;
  readonly ok: Readonly<Record<string, number>>;
  readonly okTotal: number;
  readonly failed: number;
  readonly failedIdempotent: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly stallMsMax: number;
}

/** Adds up `windows`. */
export function sumWindows(windows: readonly RequestWindow[]): WindowSum {
  const ok: Record<string, number> = {};
  const latencies = new Map<number, number>();
  let sent = 0;
  let failed = 0;
  let failedIdempotent = 0;
  let stallMsMax = 0;
  for (const window of windows) {
    sent += window.sent;
    failed += window.failed;
    failedIdempotent += window.failedIdempotent;
    stallMsMax = Math.max(stallMsMax, window.stallMs);
    for (const [region, count] of Object.entries(window.ok)) ok[region] = (ok[region] ?? 0) + count;
    for (const [bucketMs, count] of window.latencies) latencies.set(bucketMs, (latencies.get(bucketMs) ?? 0) + count);
  }
  const okTotal = Object.values(ok).reduce((sum, count) => sum + count, 0);
  return { sent, ok, okTotal, failed, failedIdempotent, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), stallMsMax };
}

/** The upper end of the bucket in which the `ratio` quantile lies; null without values. */
export function quantile(buckets: ReadonlyMap<number, number>, ratio: number): number | null {
  const total = [...buckets.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = Math.max(1, Math.ceil(total * ratio));
  let seen = 0;
  for (const [bucketMs, count] of [...buckets].sort(([a], [b]) => a - b)) {
    seen += count;
    if (seen >= rank) return bucketMs;
  }
  return null;
}
