import type { Clock } from "#federation/runtime/clock.ts";
import { logExchange } from "./access-log.ts";
import type { AccessLog } from "./access-log.ts";
import type { Exchange, Stage } from "./exchange.ts";
import { Continue } from "./exchange.ts";
import { refusalOf } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import { responseFlags } from "./response-flag.ts";

/** Upper bounds in ms of the buckets of request durations; Istio's, from half a millisecond. The last bucket is open. */
export const durationBucketsMs: readonly number[] = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

const statusMax = 600;

/** Counters of the requests of one service to one cluster. Typed arrays that metrics collection reads; no object for each request. */
export class RequestSeries {
  readonly service: string;
  /** Empty when no place was chosen. */
  readonly cluster: string;
  readonly region: string;
  /** Requests by status; 0 for those whose client left before a response. */
  readonly statuses = new Float64Array(statusMax);
  /** Requests by response flag, in the order of `responseFlags`. */
  readonly flags = new Float64Array(responseFlags.length);
  /** Requests by status and flag together: key status × 16 + index in `responseFlags`. */
  readonly outcomes = new Map<number, number>();
  /** Requests by duration; not cumulative; one more entry than `durationBucketsMs`. */
  readonly durations = new Float64Array(durationBucketsMs.length + 1);
  durationSumMs = 0;
  requests = 0;
  retries = 0;
  bytesReceived = 0;
  bytesSent = 0;
  /** Refusals by their reason, whoever refused: ourselves or the callee's sidecar. */
  readonly refusals = new Map<string, RefusalCount>();

  constructor(service: string, cluster: string, region: string) {
    this.service = service;
    this.cluster = cluster;
    this.region = region;
  }
}

/** Refusals for one reason. */
export interface RefusalCount {
  readonly refusal: Refusal;
  count: number;
  /** The latest, wall-clock ms. */
  lastMs: number;
}

/** More series than this share one named "other": a label set never grows without bound. */
const seriesMax = 10_000;

/** Counts and logs every request of a listener. */
export class TelemetryStage implements Stage {
  readonly name = "telemetry";
  readonly #clock: Clock;
  readonly #log: AccessLog | undefined;
  readonly #series = new Map<string, Map<string, RequestSeries>>();
  #seriesCount = 0;
  /** Requests under way. */
  active = 0;
  /** Hears of each exchange after it was counted; for spans. */
  onEnd: ((x: Exchange, endMs: number, durationMs: number) => void) | undefined = undefined;

  constructor(clock: Clock, log?: AccessLog) {
    this.#clock = clock;
    this.#log = log;
  }

  get logsFields(): boolean {
    return this.#log !== undefined;
  }

  request(): 0 {
    this.active++;
    return Continue as 0;
  }

  response(): void {
    // Counted at the end, with everything known.
  }

  end(x: Exchange): void {
    this.active--;
    const durationMs = this.#clock.monotonicMs() - x.startMs;
    const series = this.#seriesOf(x);
    series.requests++;
    series.durationSumMs += durationMs;
    series.bytesReceived += x.bytesReceived;
    series.bytesSent += x.bytesSent;
    if (x.attempt > 1) series.retries += x.attempt - 1;
    const status = x.responseStarted && x.status < statusMax ? x.status : 0;
    const flag = x.flag === "-" ? 0 : responseFlags.indexOf(x.flag);
    increment(series.statuses, status);
    const outcome = status * 16 + flag;
    series.outcomes.set(outcome, (series.outcomes.get(outcome) ?? 0) + 1);
    increment(series.durations, bucketOf(durationMs));
    if (flag > 0) increment(series.flags, flag);
    if (x.reason !== "") this.#countRefusal(series, x.reason);
    if (this.#log !== undefined) logExchange(this.#log, x, this.#clock.nowMs(), durationMs);
    if (this.onEnd !== undefined) this.onEnd(x, this.#clock.nowMs(), durationMs);
  }

  /** All counters as they are now. */
  *series(): Generator<RequestSeries> {
    for (const places of this.#series.values()) yield* places.values();
  }

  #countRefusal(series: RequestSeries, reason: string): void {
    const refusal = refusalOf(reason);
    if (refusal === undefined) return;
    const known = series.refusals.get(refusal.reason);
    const counted = known ?? { refusal, count: 0, lastMs: 0 };
    counted.count++;
    counted.lastMs = this.#clock.nowMs();
    if (known === undefined) series.refusals.set(refusal.reason, counted);
  }

  #seriesOf(x: Exchange): RequestSeries {
    // The Host of an unknown service is the client's to choose, and therefore no label.
    const service = x.route?.name ?? "unknown";
    const place = x.tries.last;
    const key = place?.seriesKey ?? "";
    const known = this.#series.get(service)?.get(key);
    return known ?? this.#addSeries(service, key, place?.cluster ?? "", place?.region ?? "");
  }

  #addSeries(service: string, key: string, cluster: string, region: string): RequestSeries {
    if (this.#seriesCount >= seriesMax && service !== "other") {
      return this.#series.get("other")?.get("") ?? this.#addSeries("other", "", "", "");
    }
    this.#seriesCount++;
    const series = new RequestSeries(service, cluster, region);
    const places = this.#series.get(service) ?? new Map<string, RequestSeries>();
    this.#series.set(service, places);
    places.set(key, series);
    return series;
  }
}

function increment(counters: Float64Array, index: number): void {
  counters[index] = (counters[index] ?? 0) + 1;
}

function bucketOf(durationMs: number): number {
  let at = 0;
  while (at < durationBucketsMs.length && durationMs > (durationBucketsMs[at] ?? 0)) at++;
  return at;
}
