import { createOutlierState, isEjected } from "#federation/health/outlier-ejection.ts";
import type { OutlierState } from "#federation/health/outlier-ejection.ts";
import { createSlowness } from "#federation/health/slowness.ts";
import type { Slowness } from "#federation/health/slowness.ts";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Place } from "#federation/model/snapshot.ts";
import { chooseEndpoint } from "#federation/routing/choose-endpoint.ts";
import type { EndpointLoads } from "#federation/routing/choose-endpoint.ts";
import { delayFactor } from "../admission/load-report.ts";
import { RecentRates } from "../admission/recent-rates.ts";
import { CallerThrottle } from "./caller-throttle.ts";
import type { Candidate } from "./chooser.ts";
import type { UpstreamPool } from "./upstream.ts";

/** After a refusal by admission, what its target says of room is doubted for so long, or until it takes a request. Ms. */
const roomDoubtMs = 500;
/** A target that said longer ago that it had no room, and was sent nothing since, is asked by one request: it may be idle the moment after. Ms. */
const oldWordMs = 1_000;

/** A place that could not be reached for so long has been started anew: a session outlives a shorter silence. Ms. */
const awayMsMin = 3_000;

/** One address of a place. */
export class Target implements Candidate {
  readonly pool: UpstreamPool;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly seriesKey: string;
  readonly place: PlaceTargets;
  readonly index: number;
  readonly outlier: OutlierState = createOutlierState();
  readonly slowness: Slowness = createSlowness();
  readonly throttle = new CallerThrottle();
  /** Of requests that admission there, or the throttle on its behalf, has decided on. */
  readonly rates = new RecentRates();
  #reports = 0;
  #sentSinceReport = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #overloadedAtMs = Number.NEGATIVE_INFINITY;
  /** Its idle connections have been given up, since its gateway leaves and there are others. */
  emptied = false;

  constructor(place: PlaceTargets, pool: UpstreamPool, index: number) {
    this.place = place;
    this.pool = pool;
    this.cluster = place.cluster;
    this.region = place.region;
    this.seriesKey = place.cluster;
    this.index = index;
  }

  /**
   * It has said that it would take one more now, and what was sent since does not use that up; or what it said is old, and nothing asks it yet: one request finds out. Who
   * has just refused what it said that it has room for is not believed; who never said anything, or cannot be reached, is not asked.
   */
  hasRoom(nowMs: number): boolean {
    const { pool } = this;
    if (nowMs - this.#overloadedAtMs < roomDoubtMs) return false;
    if (pool.reports !== this.#reports) {
      this.#reports = pool.reports;
      this.#sentSinceReport = 0;
    }
    const { report } = pool;
    if (report === undefined || pool.isUnreachable) return false;
    return report.headroom > this.#sentSinceReport || nowMs - Math.max(pool.reportedAtMs, this.#sentAtMs) >= oldWordMs;
  }

  sent(nowMs: number): void {
    this.pool.load.inFlight++;
    this.#sentSinceReport++;
    this.#sentAtMs = nowMs;
  }

  /** Its admission refused a request, or its sidecar had no time for one. */
  overloaded(isBusy: boolean, nowMs: number): void {
    this.throttle.refused(isBusy, nowMs);
    this.rates.asked(nowMs);
    this.#overloadedAtMs = nowMs;
  }

  /** One is not sent to it, since it would refuse it. */
  throttled(nowMs: number): void {
    this.throttle.held(nowMs);
    this.rates.asked(nowMs);
  }

  /** It took one, whatever became of it. */
  accepted(nowMs: number): void {
    this.rates.asked(nowMs);
    this.rates.admitted();
    this.throttle.accepted(nowMs);
    this.#overloadedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Requests before a new one, weighed by what its application's queue takes already: what power of two choices compares. */
  costAt(nowMs: number): number {
    const delayMs = this.pool.report?.queueDelayMs ?? 0;
    const before = this.pool.load.inFlight;
    return delayMs === 0 ? before : Math.round((before + 1) * delayFactor(delayMs, nowMs - this.#sentAtMs)) - 1;
  }
}

/** The addresses of one place, in the parallel arrays that the endpoint choice reads. */
export class PlaceTargets implements EndpointLoads {
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly targets: readonly Target[];
  readonly weights: Float64Array;
  readonly usable: Int32Array;
  usableCount = 0;
  readonly #ready: readonly boolean[];
  readonly inFlight: Int32Array;
  /** Since when nothing reaches it; undefined while something does. */
  #awaySinceMs: number | undefined = undefined;

  constructor(place: Place, claim: (address: string, port: number) => UpstreamPool) {
    this.cluster = place.cluster;
    this.region = place.region;
    const addresses = place.kind === "local" ? place.endpoints : place.gateways;
    const instances = place.kind === "local" ? 1 : Math.max(1, place.endpointsReady + (place.endpointsUnknown ?? 0));
    this.targets = addresses.map(({ address, port }, index) => {
      const pool = claim(address, port);
      pool.instances = instances;
      return new Target(this, pool, index);
    });
    this.#ready = place.kind === "local" ? place.endpoints.map((endpoint) => endpoint.readiness !== "notReady") : addresses.map(() => true);
    this.weights = Float64Array.from(place.kind === "local" ? place.endpoints.map((endpoint) => Math.max(endpoint.weight, 0.001)) : addresses.map(() => 1));
    this.usable = new Int32Array(addresses.length);
    this.inFlight = new Int32Array(addresses.length);
    this.refresh(Number.NEGATIVE_INFINITY);
  }

  /**
   * Ready, not ejected, reachable and not leaving; failing that also what leaves; then what is not reached, since it may only be
   * late; then what is ready; then all: what is left is tried rather than refused.
   */
  refresh(nowMs: number): void {
    const isReady = (target: Target): boolean => this.#ready[target.index] === true;
    const isHealthy = (target: Target): boolean => isReady(target) && !isEjected(target.outlier, nowMs);
    const isReached = (target: Target): boolean => isHealthy(target) && !target.pool.isUnreachable;
    this.usableCount = this.#fill((target) => isReached(target) && !target.pool.load.leaving);
    for (const isUsable of [isReached, isHealthy, isReady, () => true]) {
      if (this.usableCount === 0) this.usableCount = this.#fill(isUsable);
    }
  }

  /** Nothing of what could be asked can be reached. */
  get isUnreachable(): boolean {
    for (let at = 0; at < this.usableCount; at++) {
      if (this.targets[this.usable[at] ?? 0]?.pool.isUnreachable === false) return false;
    }
    return this.usableCount > 0;
  }

  /** True once when it is reached again after it was away for long. */
  cameBack(nowMs: number): boolean {
    if (this.isUnreachable) {
      this.#awaySinceMs ??= nowMs;
      return false;
    }
    const awayMs = this.#awaySinceMs === undefined ? 0 : nowMs - this.#awaySinceMs;
    this.#awaySinceMs = undefined;
    return awayMs >= awayMsMin;
  }

  /** What its other targets, those that are used, have shown. */
  slownessBeside(target: Target, nowMs: number): readonly Slowness[] {
    return this.targets.filter((other) => other !== target && !isEjected(other.outlier, nowMs)).map((other) => other.slowness);
  }

  #fill(isUsable: (target: Target) => boolean): number {
    let count = 0;
    for (const target of this.targets) {
      if (isUsable(target)) this.usable[count++] = target.index;
    }
    return count;
  }

  /** In-flight counts are per address: a gateway carries the requests of all services. */
  loadAt(nowMs: number): void {
    for (let at = 0; at < this.usableCount; at++) {
      const index = this.usable[at] ?? 0;
      this.inFlight[index] = this.targets[index]?.costAt(nowMs) ?? 0;
    }
  }

  /** The first usable target with room, but `last`. */
  withRoom(last: Candidate | undefined, nowMs: number): Target | undefined {
    for (let at = 0; at < this.usableCount; at++) {
      const target = this.targets[this.usable[at] ?? 0];
      if (target !== undefined && target !== last && target.hasRoom(nowMs)) return target;
    }
    return undefined;
  }
}

/** Power of two choices among the usable addresses, not the one tried last when there is another. */
export function pickTarget(place: PlaceTargets, uniform: number, last: Candidate | undefined, nowMs: number): Target | undefined {
  if (place.usableCount > 1) place.loadAt(nowMs);
  const avoid = last instanceof Target && last.place === place ? last.index : -1;
  const index = chooseEndpoint(place, uniform, avoid);
  return index === -1 ? undefined : place.targets[index];
}
