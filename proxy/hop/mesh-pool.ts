import { delayFactor } from "../admission/load-report.ts";
import type { LoadReport } from "../admission/load-report.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import { defaultHttpLimits } from "../http/http-limits.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import { jittered } from "#federation/runtime/random.ts";
import type { AddressLoad } from "../upstream/address-load.ts";
import { ConnectionPool } from "../upstream/connection-pool.ts";
import type { UpstreamTarget } from "../upstream/connector.ts";
import { defaultPoolLimits } from "../upstream/pool-environment.ts";
import type { PoolKeeper, PoolEnvironment, PoolLimits } from "../upstream/pool-environment.ts";
import type { ConnectEnd, ConnectionUser, UpstreamNeeds, UpstreamPool } from "../upstream/upstream.ts";
import { CallerSession } from "./caller-session.ts";
import type { SessionOwner } from "./caller-session.ts";
import { defaultHopLimits } from "./frames.ts";
import type { HopLimits } from "./frames.ts";
import type { HopFault } from "./hop-link.ts";
import { sessionsWanted } from "./sessions-wanted.ts";

/** After a session that led to an instance which we had already, the next try waits; twice as long each time. Ms. */
const spreadPauseMs = { first: 500, max: 60_000 } as const;
/** Where connections are refused, the next one asks again after this, twice as long each time. Ms. */
const askAgainMs = { first: 100, max: 2_000 } as const;
/** What is answered by an older sidecar is asked again for the hop's protocol after this. Ms. */
const fallbackMs = 60_000;

interface Waiting {
  readonly user: ConnectionUser;
  readonly proven: boolean;
}

/**
 * The way to one target of the mesh: requests share a few sessions. One is enough, and is what a path needs warm; more come
 * with hundreds of requests at a time, on a long way with a few, and behind a gateway to reach several instances. To an
 * older sidecar, and for requests that need a connection of their own, an HTTP/1.1 pool stands in.
 */
export class MeshPool implements UpstreamPool, SessionOwner, TimerOwner {
  readonly target: UpstreamTarget;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly hopLimits: HopLimits;
  readonly load: AddressLoad;
  readonly #keeper: PoolKeeper;
  readonly #environment: PoolEnvironment;
  readonly #limits: PoolLimits;
  readonly #sessions: CallerSession[] = [];
  #waiting: Waiting[] = [];
  #connecting = 0;
  #draining = false;
  #http1: ConnectionPool | undefined = undefined;
  #fallbackUntilMs = Number.NEGATIVE_INFINITY;
  #spreadAtMs = Number.NEGATIVE_INFINITY;
  #spreadPauseMs: number = spreadPauseMs.first;
  #turn = 0;
  readonly #askTimer = new WheelTimer(this, 0);
  #askMs: number = askAgainMs.first;
  readonly #report = { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 };
  reports = 0;
  reportedAtMs = Number.NEGATIVE_INFINITY;
  connectMs: number;
  /** How many instances answer behind this address: one, or what a gateway's cluster says it has. */
  instances = 1;
  wantedAtMs = Number.NEGATIVE_INFINITY;
  /** Nothing comes from there, or no connection comes about: requests go elsewhere where they can. */
  isUnreachable = false;

  constructor(keeper: PoolKeeper, environment: PoolEnvironment, target: UpstreamTarget, load: AddressLoad) {
    this.#keeper = keeper;
    this.#environment = environment;
    this.target = target;
    this.load = load;
    this.wheel = environment.wheel;
    this.httpLimits = environment.httpLimits ?? defaultHttpLimits;
    this.hopLimits = environment.hopLimits ?? defaultHopLimits;
    this.#limits = environment.limits ?? defaultPoolLimits;
    this.connectMs = this.#limits.connectMs;
  }

  nowMs(): number {
    return this.#environment.clock.monotonicMs();
  }

  /** Requests that wait for a session have nothing that could ping for them. */
  get pingsInBand(): boolean {
    return this.#waiting.length === 0 && (this.#http1?.streams ?? 0) === 0;
  }

  /** Over the sessions that have said something: room adds up, waits do not. The same object at each call. */
  get report(): LoadReport | undefined {
    if (this.reports === 0) return undefined;
    const sum = this.#report;
    sum.queueDelayMs = 0;
    sum.utilizationRatio = 0;
    sum.headroom = 0;
    let count = 0;
    for (const { load, hasReported, draining } of this.#sessions) {
      if (!hasReported || draining) continue;
      count++;
      sum.queueDelayMs += load.queueDelayMs;
      sum.utilizationRatio += load.utilizationRatio;
      sum.headroom += load.headroom;
    }
    if (count === 0) return undefined;
    sum.queueDelayMs /= count;
    sum.utilizationRatio /= count;
    return sum;
  }

  /** How long the way is, ms, as the session knows it that has found it shortest; 0 until one does. */
  get wayMs(): number {
    let shortestMs = 0;
    for (const { wayMs } of this.#sessions) if (wayMs > 0 && (shortestMs === 0 || wayMs < shortestMs)) shortestMs = wayMs;
    return shortestMs;
  }

  get connections(): number {
    return this.#sessions.length + (this.#http1?.connections ?? 0);
  }

  get waiting(): number {
    return this.#waiting.length + (this.#http1?.waiting ?? 0);
  }

  get streams(): number {
    let streams = this.#http1?.streams ?? 0;
    for (const session of this.#sessions) streams += session.streams;
    return streams;
  }

  acquire(user: ConnectionUser, needs: UpstreamNeeds): void {
    const nowMs = this.nowMs();
    this.wantedAtMs = nowMs;
    if (needs.exclusive || nowMs < this.#fallbackUntilMs) {
      this.#http1Pool().acquire(user, needs);
      return;
    }
    const session = this.#best(needs.proven, nowMs);
    if (session !== undefined) {
      this.#grow(nowMs);
      user.onConnection(session.stream());
      return;
    }
    if (this.#waiting.length >= this.#limits.waitingMax) {
      user.onConnectFailure("overflow", false);
      return;
    }
    this.#waiting.push({ user, proven: needs.proven });
    this.#grow(nowMs);
  }

  forget(user: ConnectionUser): void {
    const at = this.#waiting.findIndex((waiting) => waiting.user === user);
    if (at !== -1) this.#waiting.splice(at, 1);
    else this.#http1?.forget(user);
  }

  warm(): void {
    this.wantedAtMs = this.nowMs();
    if (this.#draining) return;
    if (this.wantedAtMs < this.#fallbackUntilMs) this.#http1Pool().warm();
    else if (!this.#askTimer.armed && this.#connecting === 0 && !this.#sessions.some((session) => !session.draining && !session.silent)) this.#open();
  }

  purge(): void {
    for (const session of [...this.#sessions]) session.purge();
    this.#http1?.purge();
  }

  doubt(): void {
    for (const session of [...this.#sessions]) session.doubt();
    this.#http1?.doubt();
  }

  drain(): void {
    this.#draining = true;
    this.renew();
    this.#http1?.drain();
  }

  revive(): void {
    this.#draining = false;
    this.#http1?.revive();
  }

  renew(): void {
    for (const session of [...this.#sessions]) session.retire();
    this.#http1?.renew();
  }

  handshakeAllowed(): void {
    this.#grow(this.nowMs());
    this.#http1?.handshakeAllowed();
  }

  // --- from sessions ---

  onOpen(session: CallerSession): void {
    this.#ended();
    this.#serve();
    if (this.#draining) session.retire();
  }

  onProven(session: CallerSession): void {
    this.#setUnreachable(false);
    this.#askMs = askAgainMs.first;
    this.#judgeSpread(session);
    this.#serve();
  }

  onOtherProtocol(): void {
    this.#setUnreachable(false);
    this.#fallbackUntilMs = this.nowMs() + fallbackMs;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { user, proven } of waiting) this.#http1Pool().acquire(user, { proven, fresh: false, exclusive: false });
  }

  onDraining(): void {
    // Its successor is on its way before the next request asks for one.
    this.#growWhereWanted();
  }

  /** A successor shows whether the connection is dead or its far side; until one opens, requests wait for whoever is first. */
  onSilence(session: CallerSession): void {
    const { silences } = this.#environment;
    if (silences !== undefined) silences[session.silent ? "begun" : "over"]++;
    if (session.silent) {
      if (!this.#hasSound) this.#setUnreachable(true);
      this.#growWhereWanted();
    } else {
      this.#setUnreachable(false);
      this.#serve();
    }
  }

  #setUnreachable(isUnreachable: boolean): void {
    if (this.isUnreachable === isUnreachable) return;
    this.isUnreachable = isUnreachable;
    this.#keeper.reachabilityChanged();
  }

  onReport(): void {
    this.reports++;
    this.reportedAtMs = this.nowMs();
  }

  onRoom(): void {
    if (this.#waiting.length > 0) this.#serve();
  }

  onClosed(session: CallerSession, end: ConnectEnd): void {
    const at = this.#sessions.indexOf(session);
    if (at !== -1) this.#sessions.splice(at, 1);
    if (!session.ready) this.#ended();
    if (!session.proven) {
      this.#spreadAtMs = this.nowMs() + this.#spreadPauseMs;
      if (this.#connecting === 0 && !this.#hasSound) {
        // Before those are told who wait, so that they go elsewhere. Where something is open they are served by that.
        this.#setUnreachable(true);
        this.#failWaiting(end);
      }
    } else if (this.#waiting.length > 0) this.#grow(this.nowMs());
    // It broke: whether its far side is there still is known before the next request asks.
    else if (!session.draining) this.#growWhereWanted();
    if (this.isUnreachable && this.#connecting === 0) this.#askAgain(session.silent || end === "timeout");
    this.#retireWhenEmpty();
  }

  /**
   * While nothing can be reached there, one connection after the other asks whether it is back, for as long as anybody has wanted
   * it of late: at once where the last took as long as a connect may take, later and later where it was refused.
   */
  #askAgain(isSilence: boolean): void {
    if (isSilence) {
      this.onTimer();
      return;
    }
    this.#askLater();
    this.#askMs = Math.min(askAgainMs.max, 2 * this.#askMs);
  }

  #askLater(): void {
    this.wheel.arm(this.#askTimer, this.nowMs(), this.#askMs);
  }

  onTimer(): void {
    if (!this.isUnreachable) return;
    if (this.#isWanted && !this.#keeper.mayAsk()) this.#askLater();
    else if (this.#isWanted) this.#grow(this.nowMs());
    else if (!this.#sessions.some(({ silent }) => silent)) this.#setUnreachable(false);
  }

  get #hasSound(): boolean {
    return this.#sessions.some(({ isSound }) => isSound);
  }

  get #isWanted(): boolean {
    return !this.#draining && this.nowMs() - this.wantedAtMs < this.#limits.idleMs;
  }

  #growWhereWanted(): void {
    if (this.#isWanted) this.#grow(this.nowMs());
  }

  onFault(fault: HopFault): void {
    const { hopFaults } = this.#environment;
    if (hopFaults !== undefined) hopFaults.set(fault, (hopFaults.get(fault) ?? 0) + 1);
  }

  #ended(): void {
    this.#connecting--;
    this.#keeper.handshakeEnded();
  }

  #failWaiting(kind: ConnectEnd): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    let isTold = false;
    for (const { user } of waiting) {
      user.onConnectFailure(kind, isTold);
      isTold = true;
    }
  }

  /** Another session to an instance that we reach already brings nothing: it goes, and the next try waits longer. */
  #judgeSpread(session: CallerSession): void {
    if (this.instances <= 1 || session.instance === "") return;
    const isKnown = this.#sessions.some((other) => other !== session && !other.draining && other.instance === session.instance);
    if (!isKnown) {
      this.#spreadPauseMs = spreadPauseMs.first;
      return;
    }
    this.#spreadAtMs = this.nowMs() + this.#spreadPauseMs;
    this.#spreadPauseMs = Math.min(spreadPauseMs.max, 2 * this.#spreadPauseMs);
    if (session.streams === 0) session.retire();
  }

  /** The session with the least under way; those that are alike take turns, so that instances behind a gateway share evenly. */
  #best(proven: boolean, nowMs: number): CallerSession | undefined {
    const sessions = this.#sessions;
    const count = sessions.length;
    if (count === 1) {
      const only = sessions[0] as CallerSession;
      return only.hasRoom && (only.proven || !proven) ? only : undefined;
    }
    let best: CallerSession | undefined;
    this.#turn = (this.#turn + 1) % Math.max(1, count);
    for (let step = 0; step < count; step++) {
      const session = sessions[(this.#turn + step) % count] as CallerSession;
      if (!session.hasRoom || (proven && !session.proven)) continue;
      if (best === undefined || costOf(session, nowMs) < costOf(best, nowMs)) best = session;
    }
    if (best !== undefined) best.askedAtMs = nowMs;
    return best;
  }

  #serve(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    const nowMs = this.nowMs();
    this.#waiting = [];
    for (const entry of waiting) {
      const session = this.#best(entry.proven, nowMs);
      if (session === undefined) this.#waiting.push(entry);
      else entry.user.onConnection(session.stream());
    }
  }

  /** Opens a session when there are fewer than the load wants, one at a time. */
  #grow(nowMs: number): void {
    if (this.#draining || this.#connecting > 0) return;
    let usable = 0;
    let streams = this.#waiting.length;
    for (const session of this.#sessions) {
      if (session.draining || session.silent) continue;
      usable++;
      streams += session.streams;
    }
    if (usable >= sessionsWanted(streams, this)) return;
    if (usable > 0 && nowMs < this.#spreadAtMs) return;
    if (this.#keeper.mayHandshake(this)) this.#open();
  }

  #open(): void {
    const { connector, random } = this.#environment;
    this.#connecting++;
    this.#keeper.handshakeBegan();
    const { idleMs, ageMs } = this.#limits;
    this.#sessions.push(new CallerSession(this, connector, { connectMs: this.connectMs, idleMs, ageMs: jittered(random, ageMs, 0.2) }));
  }

  #retireWhenEmpty(): void {
    if (this.#draining && this.connections === 0) this.#keeper.retire(this);
  }

  /** The pool that stands in takes its turns under our name. */
  #keeperOfOurs(): PoolKeeper {
    const keeper = this.#keeper;
    return {
      mayHandshake: () => keeper.mayHandshake(this),
      mayAsk: () => keeper.mayAsk(),
      handshakeBegan: () => keeper.handshakeBegan(),
      handshakeEnded: () => keeper.handshakeEnded(),
      reachabilityChanged: () => keeper.reachabilityChanged(),
      retire: () => this.#retireWhenEmpty(),
    };
  }

  #http1Pool(): ConnectionPool {
    this.#http1 ??= new ConnectionPool(this.#keeperOfOurs(), this.#environment, { ...this.target, protocols: ["http/1.1"] }, this.load);
    this.#http1.connectMs = this.connectMs;
    return this.#http1;
  }
}

/** What a request more would meet there: those before it, and what its application's queue takes already. */
function costOf(session: CallerSession, nowMs: number): number {
  return (session.streams + 1) * delayFactor(session.load.queueDelayMs, nowMs - session.askedAtMs);
}
