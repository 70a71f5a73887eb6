import type { Clock } from "#federation/runtime/clock.ts";
import type { VirtualClock } from "#federation/runtime/virtual-clock.ts";

/** A process's view of a host's virtual time: while it sleeps, time passes and nothing of it runs. For tests. */
export class SleepyClock implements Clock {
  readonly #host: VirtualClock;
  #awakeAtMs = 0;

  constructor(host: VirtualClock) {
    this.#host = host;
  }

  get asleep(): boolean {
    return this.#host.monotonicMs() < this.#awakeAtMs;
  }

  nowMs(): number {
    return this.#host.nowMs();
  }

  monotonicMs(): number {
    return this.#host.monotonicMs();
  }

  /** Sleeps from now on, as under SIGSTOP. */
  sleep(lengthMs: number): void {
    this.#awakeAtMs = Math.max(this.#awakeAtMs, this.#host.monotonicMs() + lengthMs);
  }

  schedule(delayMs: number, callback: () => void): Disposable {
    let disposed = false;
    let timer = this.#host.schedule(delayMs, () => run());
    const run = (): void => {
      if (disposed) return;
      const leftMs = this.#awakeAtMs - this.#host.monotonicMs();
      if (leftMs > 0) timer = this.#host.schedule(leftMs, run);
      else callback();
    };
    return {
      [Symbol.dispose]: () => {
        disposed = true;
        timer[Symbol.dispose]();
      },
    };
  }

  /** Runs `deliver` as soon as this process may, as bytes that the kernel holds for it. */
  whenAwake(deliver: () => void): void {
    if (this.asleep) this.schedule(0, deliver);
    else deliver();
  }
}
