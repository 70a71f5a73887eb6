import { spawn, type ChildProcess } from "node:child_process";

const interrupts = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How a shell reports a process that a signal ended: 128 and the signal's number. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Busy loops at normal priority, as a host's other programs are. They end when disposed, and with this process however that
 * ends by itself or by a signal it can catch; who listens for a signal himself ends in his own time.
 */
export class Burners implements Disposable {
  readonly #children: readonly ChildProcess[];
  readonly #end = (): void => this[Symbol.dispose]();
  readonly #onInterrupt = (signal: (typeof interrupts)[number]): void => {
    this.#end();
    process.exit(exitCodes[signal]);
  };

  private constructor(count: number) {
    process.once("exit", this.#end);
    if (count > 0) for (const signal of interrupts) if (process.listenerCount(signal) === 0) process.once(signal, this.#onInterrupt);
    this.#children = Array.from({ length: count }, () => spawn(process.execPath, ["-e", "for(;;);"], { stdio: "ignore" }));
  }

  static start(count: number): Burners {
    return new Burners(count);
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid }) => pid ?? -1);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#end);
    for (const signal of interrupts) process.off(signal, this.#onInterrupt);
    for (const child of this.#children) child.kill("SIGKILL");
  }
}
