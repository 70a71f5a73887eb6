import { eject, isEjected, recordFailure, recordSuccess } from "#federation/health/outlier-ejection.ts";
import { recordPlaceFailure, recordPlaceSlowEnd, recordPlaceSuccess, recordReach, unreached } from "#federation/health/place-verdict.ts";
import type { PlaceEvidence, PlaceVerdictPolicy } from "#federation/health/place-verdict.ts";
import { believedRatio, compareSlowness, forgetSlowness, isSlow, recordAnswer, recordSlowEnd } from "#federation/health/slowness.ts";
import type { ClusterId } from "#federation/model/names.ts";
import { overloadOf } from "#federation/model/overload.ts";
import { serviceSni } from "#federation/model/service.ts";
import type { ServicePort } from "#federation/model/service.ts";
import type { Place, ServiceView } from "#federation/model/snapshot.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { choosePlace } from "#federation/routing/choose-place.ts";
import type { PlaceLoad } from "#federation/routing/explain.ts";
import { orderPlaces } from "#federation/routing/order-places.ts";
import type { PlaceOrder, RankedPlace, Viewpoint } from "#federation/routing/order-places.ts";
import { shareLoad } from "#federation/routing/share-load.ts";
import type { PlaceShares } from "#federation/routing/share-load.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import { throttled } from "./chooser.ts";
import type { Candidate, Chooser, Outcome, Tries } from "./chooser.ts";
import type { UpstreamPool } from "./upstream.ts";
import type { PoolSet } from "./pool-set.ts";
import { placeVerdictPolicy } from "./place-policy.ts";
import { pickTarget, PlaceTargets, Target } from "./place-targets.ts";

/** What is known of places besides what requests show: kept per process, asked per service. */
export interface PlaceBoard {
  /** From where we look, with the latest smoothed round trips. A new object means that orders are to be made again. */
  readonly viewpoint: Viewpoint;
  /** Grows when something was learned that the next request must go by, such as a gateway's silence. */
  readonly version: number;
  /** What requests to a service at a cluster, and pings to its gateways, have shown; kept over snapshots. */
  evidenceOf(view: ServiceView, cluster: ClusterId): PlaceEvidence;
  /** The same of the service's other places. */
  othersOf(view: ServiceView, cluster: ClusterId): readonly PlaceEvidence[];
  /** The verdict that routing goes by. */
  conditionOf(view: ServiceView, place: Place): PlaceCondition;
}

/** What a chooser works with. */
export interface PlaceChooserOptions {
  readonly view: ServiceView;
  readonly port: ServicePort;
  readonly pools: PoolSet;
  readonly board: PlaceBoard;
  readonly clock: Clock;
  readonly random: Random;
}

/** Places besides the first to which a connection is kept open. */
const warmPlaces = 2;

/** Verdicts are asked again after this, because a return happens by time. */
const refreshMs = 250;

/** Chooses by the pure functions of routing and health, over live pools. One for each port of a service and snapshot entry. */
export class PlaceChooser implements Chooser {
  readonly #options: PlaceChooserOptions;
  readonly #places: readonly PlaceTargets[];
  #order: PlaceOrder;
  #viewpoint: Viewpoint;
  /** Places in the order of `#order`. */
  #ordered: readonly PlaceTargets[];
  #shares: PlaceShares;
  /** Of the places in that order: traffic returns to them step by step. */
  #isReturning: readonly boolean[] = [];
  readonly #policy: PlaceVerdictPolicy;
  #refreshAtMs = 0;
  #version: number;
  #poolsVersion: number;
  #inFlight = 0;

  /** `before`: the chooser that this one replaces, whose lessons go on. */
  constructor(options: PlaceChooserOptions, before?: PlaceChooser) {
    this.#options = options;
    const { view, port, pools } = options;
    const nowMs = options.clock.monotonicMs();
    this.#policy = placeVerdictPolicy(view.policy.outlier);
    this.#version = options.board.version;
    this.#poolsVersion = pools.version;
    const sni = serviceSni(view.host, port.port);
    const claim = (address: string, targetPort: number): UpstreamPool => {
      const pool = pools.claim({ address, port: targetPort, sni, identities: view.serverIdentities });
      pool.connectMs = view.policy.timeouts.connectMs;
      return pool;
    };
    this.#places = view.places.map((place) => new PlaceTargets(place, claim, nowMs, before?.targetsIn(place.cluster)));
    this.#viewpoint = options.board.viewpoint;
    this.#order = orderPlaces(view.places, view.policy.locality, this.#viewpoint);
    this.#ordered = this.#inOrder();
    this.#shares = this.#weigh(nowMs);
    this.#refreshAtMs = nowMs + refreshMs;
  }

  /** The addresses of its place in `cluster`. */
  targetsIn(cluster: ClusterId): PlaceTargets | undefined {
    return this.#places.find((place) => place.cluster === cluster);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get hasOthers(): boolean {
    return this.#places.length > 1 || (this.#places[0]?.targets.length ?? 0) > 1;
  }

  get hasReachable(): boolean {
    this.#look(this.#options.clock.monotonicMs());
    return this.#ordered.some((place, at) => (this.#shares.shares[at] ?? 0) > 0 && !place.isUnreachable);
  }

  choose(tries: Tries, priority: number): Candidate | typeof throttled | undefined {
    const { random, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#look(nowMs);
    if (tries.basis !== this.#order) this.#rebase(tries);
    for (let left = this.#ordered.length; left > 0; left--) {
      const index = choosePlace(this.#shares, random.next(), tries.places);
      const place = index === -1 ? undefined : this.#ordered[index];
      if (place === undefined) return undefined;
      tries.add(index, place.cluster);
      const target = pickTarget(place, random.next(), tries.last, nowMs);
      // A place without an address (no gateway known) is passed over.
      if (target === undefined) continue;
      if (target.throttle.refuses(priority, random.next(), nowMs) && !target.hasRoom(nowMs)) {
        target.throttled(nowMs);
        return this.chooseWithRoom(tries) ?? throttled;
      }
      // What has just come back is cold: beyond what it says it has room for, requests go on where they went before.
      if (this.#isReturning[index] === true && target.pool.report !== undefined && !target.hasRoom(nowMs)) return this.chooseWithRoom(tries) ?? this.#take(target, tries, nowMs);
      return this.#take(target, tries, nowMs);
    }
    return undefined;
  }

  chooseWithRoom(tries: Tries): Candidate | undefined {
    const { board, view, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [index, { place }] of this.#order.places.entries()) {
      const target = this.#ordered[index]?.withRoom(tries.last, nowMs);
      if (target === undefined || board.conditionOf(view, place).lowered) continue;
      tries.add(index, place.cluster);
      return this.#take(target, tries, nowMs);
    }
    return undefined;
  }

  /** Round trips that move make new orders, also while a request is under way. */
  #rebase(tries: Tries): void {
    tries.rebase(this.#order, (cluster) => this.#ordered.findIndex((place) => place.cluster === cluster));
  }

  #take(target: Target, tries: Tries, nowMs: number): Target {
    tries.last = target;
    target.sent(nowMs);
    this.#inFlight++;
    return target;
  }

  report(candidate: Candidate, outcome: Outcome): void {
    candidate.pool.load.inFlight--;
    this.#inFlight--;
    if (outcome === "cancelled" || !(candidate instanceof Target)) return;
    const { board, clock, view } = this.#options;
    const nowMs = clock.monotonicMs();
    if (outcome === "overloaded" || outcome === "busy") {
      candidate.overloaded(outcome === "busy", nowMs);
      return;
    }
    candidate.accepted(nowMs);
    if (outcome === "refused") return;
    if (outcome === "success") {
      recordSuccess(candidate.outlier, nowMs);
      recordAnswer(candidate.slowness, nowMs);
      recordPlaceSuccess(board.evidenceOf(view, candidate.cluster), nowMs);
      return;
    }
    if (outcome === "timeout" || outcome === "gatewayError") this.#slowEnd(candidate, outcome === "timeout", nowMs);
    else this.#failure(candidate, nowMs);
    // The next request to it finds a connection open at the next place.
    if (outcome !== "gatewayError") this.warmNext(candidate);
  }

  /** The target itself broke. One bad endpoint among several is its own fault; the place's only when none is left that is not ejected. */
  #failure(candidate: Target, nowMs: number): void {
    const { board, view } = this.#options;
    const { place } = candidate;
    if (recordFailure(candidate.outlier, view.policy.outlier, nowMs)) place.refresh(nowMs);
    const isAlone = place.targets.every((target) => target === candidate || isEjected(target.outlier, nowMs));
    if (isAlone && recordPlaceFailure(board.evidenceOf(view, candidate.cluster), this.#policy, nowMs)) this.#refresh(nowMs);
  }

  /** The target is slow, which says something of it only beside the place's other targets, and of the place beside other places. */
  #slowEnd(candidate: Target, isBurst: boolean, nowMs: number): void {
    const { board, view } = this.#options;
    const { place, slowness, outlier } = candidate;
    if (isEjected(outlier, nowMs)) return;
    const beside = place.slownessBeside(candidate, nowMs);
    recordSlowEnd(slowness, beside, { isBurst, nowMs });
    if (compareSlowness(believedRatio(slowness), beside, nowMs) === "slower") {
      if (!isSlow(slowness, outlier.returning ? 1 : view.policy.outlier.consecutiveFailures, nowMs)) return;
      eject(outlier, view.policy.outlier, nowMs);
      forgetSlowness(slowness);
      place.refresh(nowMs);
      return;
    }
    const others = board.othersOf(view, candidate.cluster);
    if (recordPlaceSlowEnd(board.evidenceOf(view, candidate.cluster), others, { isBurst, policy: this.#policy, nowMs })) this.#refresh(nowMs);
  }

  /** Keeps a connection open to the next sound places: one takes over when the first fails, and another takes what is too much for that one. */
  warmNext(besides?: Candidate): void {
    const { board, view } = this.#options;
    const isNext = ({ place }: RankedPlace, at: number): boolean => at > 0 && place.cluster !== besides?.cluster && !board.conditionOf(view, place).lowered;
    const next = this.#order.places.flatMap((ranked, at) => (isNext(ranked, at) ? [this.#ordered[at]] : [])).slice(0, warmPlaces);
    for (const place of next.length === 0 ? this.#ordered.slice(0, 1) : next) place?.targets[place.usable[0] ?? 0]?.pool.warm();
  }

  /** No address of the place can be reached for this port. */
  isUnreachable(cluster: ClusterId): boolean {
    return this.targetsIn(cluster)?.isUnreachable === true;
  }

  /** What is known of the load at a place; undefined while nothing is. */
  loadOf(cluster: ClusterId): PlaceLoad | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const targets = this.targetsIn(cluster)?.targets ?? [];
    const reports = targets.map(({ pool }) => pool.report).filter((report) => report !== undefined);
    const rates = targets.map((target) => target.rates.at(nowMs));
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    const overload = overloadOf({ asked: sum(rates.map(({ asked }) => asked)), admitted: sum(rates.map(({ admitted }) => admitted)) });
    if (reports.length === 0 && overload === undefined) return undefined;
    const report = {
      queueDelayMs: sum(reports.map(({ queueDelayMs }) => queueDelayMs)) / reports.length,
      utilizationRatio: sum(reports.map(({ utilizationRatio }) => utilizationRatio)) / reports.length,
      headroom: sum(reports.map(({ headroom }) => headroom)),
    };
    return { ...(reports.length === 0 ? {} : { report }), ...(overload === undefined ? {} : { overload }) };
  }

  /** Lets the pools go. Requests on the way finish. */
  release(): void {
    for (const place of this.#places) {
      for (const target of place.targets) this.#options.pools.release(target.pool);
    }
  }

  /** What was learned since is known before it is chosen by. */
  #look(nowMs: number): void {
    const { board, pools } = this.#options;
    if (nowMs >= this.#refreshAtMs || board.version !== this.#version || pools.version !== this.#poolsVersion) this.#refresh(nowMs);
  }

  #refresh(nowMs: number): void {
    const { board, view, pools } = this.#options;
    this.#refreshAtMs = nowMs + refreshMs;
    this.#version = board.version;
    this.#poolsVersion = pools.version;
    if (board.viewpoint !== this.#viewpoint) {
      this.#viewpoint = board.viewpoint;
      this.#order = orderPlaces(view.places, view.policy.locality, this.#viewpoint);
      this.#ordered = this.#inOrder();
    }
    this.#shares = this.#weigh(nowMs);
    this.#emptyLeaving();
    // Asked only while requests come, so services that nobody calls hold no connections.
    this.warmNext();
  }

  /** Where a gateway leaves and requests go elsewhere, its idle connections go at once, so that it need not wait for them. */
  #emptyLeaving(): void {
    const { shares } = this.#shares;
    const isUsed = (place: PlaceTargets): boolean => (shares[this.#ordered.indexOf(place)] ?? 0) > 0;
    const hasUsed = this.#places.some(isUsed);
    for (const place of this.#places) {
      for (const target of place.targets) {
        const isLeft = target.pool.load.leaving && hasUsed && !(isUsed(place) && place.usable.subarray(0, place.usableCount).includes(target.index));
        if (isLeft && !target.memory.emptied) target.pool.renew();
        target.memory.emptied = isLeft;
      }
    }
  }

  #inOrder(): PlaceTargets[] {
    const { places } = this.#options.view;
    return this.#order.places.map((ranked) => this.#places[places.indexOf(ranked.place)]).filter((place) => place !== undefined);
  }

  /** Looks at every address, and shares the load by what is seen. */
  #weigh(nowMs: number): PlaceShares {
    const { board, view, port } = this.#options;
    for (const place of this.#places) {
      place.refresh(nowMs);
      recordReach(board.evidenceOf(view, place.cluster), port.port, place.reach, { policy: this.#policy, nowMs });
    }
    const conditions = this.#order.places.map((ranked, at) => {
      const condition = board.conditionOf(view, ranked.place);
      return this.#ordered[at]?.isUnreachable === true ? unreached(condition) : condition;
    });
    this.#isReturning = conditions.map(({ rampRatio }) => rampRatio > 0 && rampRatio < 1);
    return shareLoad(this.#order, conditions);
  }
}
