import { createOutlierState, isEjected } from "#federation/health/outlier-ejection.ts";
import type { OutlierState } from "#federation/health/outlier-ejection.ts";
import type { Reach } from "#federation/health/place-verdict.ts";
import { createSlowness } from "#federation/health/slowness.ts";
import type { Slowness } from "#federation/health/slowness.ts";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Place, Readiness } from "#federation/model/snapshot.ts";
import { chooseEndpoint } from "#federation/routing/choose-endpoint.ts";
import type { EndpointLoads } from "#federation/routing/choose-endpoint.ts";
import { delayFactor } from "../admission/load-report.ts";
import { RecentRates } from "#federation/runtime/recent-rates.ts";
import { CallerThrottle } from "./caller-throttle.ts";
import type { Candidate } from "./chooser.ts";
import type { UpstreamPool } from "./upstream.ts";

/** After a refusal by admission, what its target says of room is doubted for so long, or until it takes a request. Ms. */
const roomDoubtMs = 500;
/** A target that said longer ago that it had no room, and was sent nothing since, is asked by one request: it may be idle the moment after. Ms. */
const oldWordMs = 1_000;

/** What requests to one address have shown, whichever snapshot names it: shared by the targets that follow each other. */
interface TargetMemory {
  readonly outlier: OutlierState;
  readonly slowness: Slowness;
  readonly throttle: CallerThrottle;
  /** Of requests that admission there, or the throttle on its behalf, has decided on. */
  readonly rates: RecentRates;
  reports: number;
  sentSinceReport: number;
  sentAtMs: number;
  overloadedAtMs: number;
  /** Its idle connections have been given up, since its gateway leaves and there are others. */
  emptied: boolean;
}

function emptyMemory(): TargetMemory {
  return {
    outlier: createOutlierState(),
    slowness: createSlowness(),
    throttle: new CallerThrottle(),
    rates: new RecentRates(),
    reports: 0,
    sentSinceReport: 0,
    sentAtMs: Number.NEGATIVE_INFINITY,
    overloadedAtMs: Number.NEGATIVE_INFINITY,
    emptied: false,
  };
}

/** One address of a place. */
export class Target implements Candidate {
  readonly pool: UpstreamPool;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly seriesKey: string;
  readonly place: PlaceTargets;
  readonly index: number;
  readonly memory: TargetMemory;

  /** `memory`: of the target that had this address in the snapshot before. */
  constructor(place: PlaceTargets, pool: UpstreamPool, index: number, memory: TargetMemory = emptyMemory()) {
    this.memory = memory;
    this.place = place;
    this.pool = pool;
    this.cluster = place.cluster;
    this.region = place.region;
    this.seriesKey = place.cluster;
    this.index = index;
  }

  get outlier(): OutlierState {
    return this.memory.outlier;
  }

  get slowness(): Slowness {
    return this.memory.slowness;
  }

  get throttle(): CallerThrottle {
    return this.memory.throttle;
  }

  get rates(): RecentRates {
    return this.memory.rates;
  }

  /**
   * It has said that it would take one more now, and what was sent since does not use that up; or what it said is old, and nothing asks it yet: one request finds out. Who
   * has just refused what it said that it has room for is not believed; who never said anything, or cannot be reached, is not asked.
   */
  hasRoom(nowMs: number): boolean {
    const { pool, memory } = this;
    if (nowMs - memory.overloadedAtMs < roomDoubtMs) return false;
    if (pool.reports !== memory.reports) {
      memory.reports = pool.reports;
      memory.sentSinceReport = 0;
    }
    const { report } = pool;
    if (report === undefined || pool.isUnreachable) return false;
    return report.headroom > memory.sentSinceReport || nowMs - Math.max(pool.reportedAtMs, memory.sentAtMs) >= oldWordMs;
  }

  sent(nowMs: number): void {
    this.pool.load.inFlight++;
    this.memory.sentSinceReport++;
    this.memory.sentAtMs = nowMs;
  }

  /** Its admission refused a request, or its sidecar had no time for one. */
  overloaded(isBusy: boolean, nowMs: number): void {
    this.throttle.refused(isBusy, nowMs);
    this.rates.asked(nowMs);
    this.memory.overloadedAtMs = nowMs;
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
    this.memory.overloadedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Requests before a new one, weighed by what its application's queue takes already: what power of two choices compares. */
  costAt(nowMs: number): number {
    const delayMs = this.pool.report?.queueDelayMs ?? 0;
    const before = this.pool.load.inFlight;
    return delayMs === 0 ? before : Math.round((before + 1) * delayFactor(delayMs, nowMs - this.memory.sentAtMs)) - 1;
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
  readonly #readiness: readonly Readiness[];
  readonly inFlight: Int32Array;

  /** `before`: the same place by the snapshot before this one, of whose addresses something may be known. */
  constructor(place: Place, claim: (address: string, port: number) => UpstreamPool, nowMs: number, before?: PlaceTargets) {
    this.cluster = place.cluster;
    this.region = place.region;
    const addresses = place.kind === "local" ? place.endpoints : place.gateways;
    this.#readiness = place.kind === "local" ? place.endpoints.map((endpoint) => endpoint.readiness) : addresses.map(() => "ready");
    const instances = place.kind === "local" ? 1 : Math.max(1, place.endpointsReady + (place.endpointsUnknown ?? 0));
    this.targets = addresses.map(({ address, port }, index) => {
      const pool = claim(address, port);
      pool.instances = instances;
      return new Target(this, pool, index, before?.memoryOf(address, port, this.#readiness[index]));
    });
    this.weights = Float64Array.from(place.kind === "local" ? place.endpoints.map((endpoint) => Math.max(endpoint.weight, 0.001)) : addresses.map(() => 1));
    this.usable = new Int32Array(addresses.length);
    this.inFlight = new Int32Array(addresses.length);
    this.refresh(nowMs);
  }

  /** What is known of an address; nothing of one that says of itself, for the first time since, that it is ready: that is another process, or a mended one. */
  memoryOf(address: string, port: number, readiness: Readiness | undefined): TargetMemory | undefined {
    const target = this.targets.find(({ pool }) => pool.target.address === address && pool.target.port === port);
    return target === undefined || (readiness === "ready" && this.#readiness[target.index] !== "ready") ? undefined : target.memory;
  }

  /**
   * Ready, not ejected, reachable and not leaving; failing that also what leaves; then what is not reached, since it may only be
   * late; then what is ready; then all: what is left is tried rather than refused.
   */
  refresh(nowMs: number): void {
    const isReady = (target: Target): boolean => this.#readiness[target.index] !== "notReady";
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

  /** By the addresses that are used. */
  get reach(): Reach {
    if (this.isUnreachable) return "unreached";
    return this.targets.some(({ pool, index }) => !pool.isUnreachable && pool.connections > 0 && this.usable.subarray(0, this.usableCount).includes(index)) ? "reached" : "untried";
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
