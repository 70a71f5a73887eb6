import { priorityClasses } from "#federation/model/priority-class.ts";
import { stallMs } from "./loop-delay.ts";
import type { LoopListener } from "./loop-delay.ts";

/** The delay of the event loop that shedding holds: enough to keep a processor busy, and no more than people notice. */
export const loopTargetMs = 30;
/** A delay counts as no more than this many targets: one stop of the process must not shed for seconds. */
const delayTargetsMax = 2;
/** Change of the shed share for a delay of one target too much, each second … */
const integralPerSecond = 1.5;
/** … so many times as fast while the delay is below half of the target: what is refused then is refused for nothing … */
const returnFactor = 2;
/** … and for each target by which the delay has grown since the last tick. */
const proportional = 0.1;
/** Some are always let in: without them nobody would learn that the load has gone. */
const shareMax = 0.98;
/**
 * A process that had a processor for less of the time is not late by its own work, but because others have the processor: it
 * would be as late if it refused. Two busy proxies on one processor have half of it each.
 */
const ownShareMin = 0.35;
/** A delay stands when the least of three ticks is this share of the target. */
const standingRatio = 0.33;
/** When one tick was late and the next is so many targets late already, the share rises with that at once … */
const turnTargetsMin = 2;
/** … to all at this many. Fewer requests than these in one turn are not what makes it long. */
const turnTargetsMax = 6;
const turnRequestsMin = 32;
/** … and so it does after a stop of the process, in which so many requests have gathered that they are work for seconds. */
const gatheredMin = 200;
/** Weight of the newest tick in how large a part each class is. */
const mixWeight = 0.1;
/** Ticks further apart than this say no more than this: the loop had stopped. */
const elapsedMsMax = 250;

const classCount = priorityClasses.length;

/**
 * Which share of new requests a late event loop refuses, so that the rest is served in time: a proportional-integral
 * controller on the delay, as PIE has for a router's queue. A delay counts only when it stands, as CoDel's does: a
 * collection of garbage or a neighbour on the processor makes one tick late, and too much work makes all late. The lowest class bears it alone as long as that is enough, then the next. Pure: times are passed in, nothing is
 * allocated.
 * @see https://datatracker.ietf.org/doc/html/rfc8033
 */
export class LoopShed implements LoopListener {
  readonly #targetMs: number;
  /** Requests since the last tick, by class. */
  readonly #arrived = new Float64Array(classCount);
  /** The part that each class is of all, smoothed. */
  readonly #mix = new Float64Array(classCount);
  readonly #ratios = new Float64Array(classCount);
  #share = 0;
  #delayMs = 0;
  /** How late the last tick was, and the one before. */
  #lastMs = 0;
  #beforeLastMs = 0;
  #tickMs = Number.NEGATIVE_INFINITY;
  /** The last tick came after a stop. */
  #stopped = false;
  /** Requests since the last tick. */
  #gathered = 0;

  constructor(targetMs = loopTargetMs) {
    this.#targetMs = targetMs;
  }

  /** The share of all new requests that is refused, in [0, 1). */
  get share(): number {
    return this.#share;
  }

  onLoopTick(tickLateMs: number, nowMs: number, ownShare: number): void {
    const lateMs = ownShare >= ownShareMin ? tickLateMs : 0;
    this.#stopped = tickLateMs >= stallMs;
    this.#gathered = 0;
    const leastMs = Math.min(lateMs, this.#lastMs, this.#beforeLastMs);
    const delayMs = leastMs < this.#targetMs * standingRatio ? leastMs : Math.min(lateMs, this.#targetMs * delayTargetsMax);
    this.#beforeLastMs = this.#lastMs;
    this.#lastMs = lateMs;
    const elapsedMs = Math.min(elapsedMsMax, nowMs - this.#tickMs);
    this.#tickMs = nowMs;
    const integral = delayMs < this.#targetMs / 2 ? integralPerSecond * returnFactor : integralPerSecond;
    const step = (integral * (delayMs - this.#targetMs) * elapsedMs) / (1_000 * this.#targetMs) + (proportional * (delayMs - this.#delayMs)) / this.#targetMs;
    this.#delayMs = delayMs;
    this.#share = Math.min(shareMax, Math.max(0, this.#share + step));
    this.#countMix();
    this.#spread(this.#share);
  }

  /** The probability with which a request of `priority` is refused now; `lateMs` is how late the next tick is already. */
  ratioFor(priority: number, lateMs: number): number {
    this.#arrived[priority] = (this.#arrived[priority] ?? 0) + 1;
    this.#gathered++;
    const ratio = this.#ratios[priority] ?? 0;
    const isSecond = this.#lastMs >= this.#targetMs || (this.#stopped && this.#gathered >= gatheredMin);
    if (lateMs < this.#targetMs * turnTargetsMin || !isSecond || this.#gathered < turnRequestsMin || priority === 0) return ratio;
    // An emergency within milliseconds, in which the classes' parts are not known yet.
    return Math.max(ratio, Math.min(shareMax, (lateMs / this.#targetMs - turnTargetsMin) / (turnTargetsMax - turnTargetsMin)));
  }

  #countMix(): void {
    let total = 0;
    for (const count of this.#arrived) total += count;
    if (total === 0) return;
    for (let at = 0; at < classCount; at++) {
      this.#mix[at] = (this.#mix[at] ?? 0) + mixWeight * ((this.#arrived[at] ?? 0) / total - (this.#mix[at] ?? 0));
      this.#arrived[at] = 0;
    }
  }

  /** Lays the share on the classes, lowest first. */
  #spread(share: number): void {
    let total = 0;
    for (const part of this.#mix) total += part;
    let left = share * total;
    for (let at = classCount - 1; at >= 0; at--) {
      const part = this.#mix[at] ?? 0;
      this.#ratios[at] = part === 0 ? 0 : Math.min(1, left / part);
      left = Math.max(0, left - part);
    }
  }
}
