import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "../../harness/eventually.ts";
import type { CrowdOrder, CrowdReport } from "./crowd-messages.ts";

/** Far more than any of it takes on a busy host. */
const settledMsMax = 240_000;

/** Many simulated proxies of one workload, in a process of their own. */
export class Crowd {
  readonly #child: ChildProcess;
  #connected = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", ({ connected }: CrowdReport) => (this.#connected = connected));
  }

  /** Joins by a workload's token, once for all; resolves when `count` of them are connected to their plane. */
  static async join(joinToken: string, count: number): Promise<Crowd> {
    const crowd = new Crowd(fork(fileURLToPath(new URL("./crowd-main.ts", import.meta.url)), { stdio: ["ignore", "ignore", "inherit", "ipc"] }));
    try {
      crowd.#order({ kind: "begin", joinToken, count });
      await crowd.connected(count);
      return crowd;
    } catch (error) {
      crowd.#child.kill("SIGKILL");
      throw error;
    }
  }

  /** Drops the connections of all at once, and lets none be made. */
  cut(): void {
    this.#order({ kind: "cut" });
  }

  open(): void {
    this.#order({ kind: "open" });
  }

  /** Resolves when `count` are connected. */
  async connected(count: number): Promise<void> {
    await eventually(`${count} proxies are connected`, () => {
      if (this.#connected !== count) throw new Error(`${this.#connected} are`);
      return true;
    }, settledMsMax);
  }

  /** All take their leave, so that their plane expects none of them back. */
  async leave(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#order({ kind: "leave" });
    await ended;
  }

  #order(order: CrowdOrder): void {
    this.#child.send(order);
  }
}
