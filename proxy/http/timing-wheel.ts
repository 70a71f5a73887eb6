import type { Clock } from "#federation/runtime/clock.ts";
import { LocalStall } from "../health/local-stall.ts";

/** Who is told when a wheel timer is due; `kind` tells an owner's timers apart. */
export interface TimerOwner {
  onTimer(kind: number): void;
}

/** A timer that is part of its owner's shape: arming and cancelling it allocates nothing. */
export class WheelTimer {
  readonly owner: TimerOwner;
  readonly kind: number;
  /** Monotonic ms when due; meaningful while armed. */
  dueMs = 0;
  previous: WheelTimer | undefined = undefined;
  next: WheelTimer | undefined = undefined;
  slot = -1;

  constructor(owner: TimerOwner, kind: number) {
    this.owner = owner;
    this.kind = kind;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
}

/** Ticks are this far apart; a timer fires at most one tick late. */
export const tickMs = 20;
const slotCount = 1024;

/** A tick this late means that the event loop stood still, and that bytes may wait unread in the kernel. */
const stallMs = 100;

/**
 * Deadlines and idle limits of a whole proxy on one clock timer: O(1) to arm, cancel and fire. After a stall of
 * the event loop due timers are held for one more poll turn, so that bytes that arrived in time win.
 */
export class TimingWheel {
  /** What this process slept: a timer tells how long its owner has waited, this tells how much of it anybody was awake. */
  readonly stall: LocalStall;
  readonly #clock: Clock;
  readonly #slots: (WheelTimer | undefined)[] = Array.from({ length: slotCount }, () => undefined);
  #armedCount = 0;
  #tick: number;
  #expectedMs = 0;
  #ticking: Disposable | undefined;
  #yielded = false;
  /** Hears how late each tick came: the delay of this process's event loop. */
  onTick: ((lateMs: number, nowMs: number) => void) | undefined = undefined;

  constructor(clock: Clock, stall: LocalStall = new LocalStall(clock)) {
    this.#clock = clock;
    this.stall = stall;
    this.#tick = Math.floor(clock.monotonicMs() / tickMs);
  }

  /** When the next tick is due, monotonic ms; +Infinity while no timer is armed. */
  get expectedMs(): number {
    return this.#ticking === undefined ? Number.POSITIVE_INFINITY : this.#expectedMs;
  }

  /** Timers armed now. */
  get size(): number {
    return this.#armedCount;
  }

  /** Arms `timer` to fire `delayMs` after `nowMs` (monotonic); an armed one is moved. */
  arm(timer: WheelTimer, nowMs: number, delayMs: number): void {
    if (timer.slot >= 0) this.#unlink(timer);
    if (this.#armedCount === 0) this.#tick = Math.floor(nowMs / tickMs);
    timer.dueMs = nowMs + delayMs;
    // Rounded up, and never into the slot that may be firing just now.
    const tick = Math.max(Math.ceil(timer.dueMs / tickMs), this.#tick + 1);
    const slot = tick % slotCount;
    const first = this.#slots[slot];
    timer.slot = slot;
    timer.previous = undefined;
    timer.next = first;
    if (first !== undefined) first.previous = timer;
    this.#slots[slot] = timer;
    this.#armedCount++;
    if (this.#ticking === undefined) this.#schedule(tickMs);
  }

  /** Does nothing to a timer that is not armed. */
  cancel(timer: WheelTimer): void {
    if (timer.slot >= 0) this.#unlink(timer);
  }

  #unlink(timer: WheelTimer): void {
    const { previous, next } = timer;
    if (previous === undefined) this.#slots[timer.slot] = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    timer.previous = undefined;
    timer.next = undefined;
    timer.slot = -1;
    this.#armedCount--;
  }

  #schedule(delayMs: number): void {
    this.#expectedMs = this.#clock.monotonicMs() + delayMs;
    this.#ticking = this.#clock.schedule(delayMs, () => this.#onTick());
  }

  #onTick(): void {
    this.#ticking = undefined;
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#expectedMs;
    if (!this.#yielded && this.onTick !== undefined) this.onTick(Math.max(0, lateMs), nowMs);
    if (!this.#yielded && lateMs > stallMs) {
      this.#yielded = true;
      this.#schedule(0);
      return;
    }
    this.#yielded = false;
    const lastTick = Math.floor(nowMs / tickMs);
    // After a jump longer than one turn of the wheel, one turn visits every slot.
    let tick = Math.max(this.#tick, lastTick - slotCount);
    while (tick < lastTick) {
      tick++;
      this.#tick = tick;
      this.#fire(tick % slotCount, nowMs);
    }
    if (this.#armedCount > 0 && this.#ticking === undefined) this.#schedule(tickMs);
  }

  #fire(slot: number, nowMs: number): void {
    let timer = this.#slots[slot];
    while (timer !== undefined) {
      const due: WheelTimer = timer;
      timer = due.next;
      if (due.dueMs > nowMs) continue;
      this.#unlink(due);
      due.owner.onTimer(due.kind);
      // The owner may have changed this very list: begin it again rather than follow a stale link.
      timer = this.#slots[slot];
    }
  }
}
