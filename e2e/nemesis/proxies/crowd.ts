import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { eventually } from "../../harness/eventually.ts";
import type { CrowdOrder, CrowdReport } from "./crowd-messages.ts";

/** Far more than any of it takes on a busy host. */
const settledMsMax = 240_000;

/** Many simulated proxies of one workload, in a process of their own. */
export class Crowd {
  /** Begins the names of its proxies, and of no others. */
  readonly name: string;
  readonly #child: ChildProcess;
  #connected = 0;
  /** Why it ends, as it said itself. */
  #reason: string | undefined;
  /** How it has ended. */
  #end: string | undefined;

  private constructor() {
    this.#child = fork(fileURLToPath(new URL("./crowd-main.ts", import.meta.url)), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.name = `nemesis-${this.#child.pid}-`;
    this.#child.on("message", (report: CrowdReport) => {
      if (report.kind === "fails") this.#reason = report.reason;
      else this.#connected = report.connected;
    });
    // "close" comes when everything that it said has been heard, too.
    this.#child.once("close", (code, signal) => void (this.#end = this.#reason ?? signal ?? `exit code ${code}`));
  }

  /** Joins by a workload's token, once for all; resolves when `count` of them are connected to their plane. */
  static async join(joinToken: string, count: number, signal: AbortSignal): Promise<Crowd> {
    const crowd = new Crowd();
    try {
      crowd.#order({ kind: "begin", name: crowd.name, joinToken, count });
      await crowd.connected(count, signal);
      return crowd;
    } catch (error) {
      crowd.#child.kill("SIGKILL");
      throw error;
    }
  }

  /** Of its process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Drops the connections of all at once, and lets none be made. */
  cut(): void {
    this.#order({ kind: "cut" });
  }

  open(): void {
    this.#order({ kind: "open" });
  }

  /** Resolves when `count` are connected. @throws Error when that is not so in minutes, and at once when the process has ended or `signal` aborts. */
  async connected(count: number, signal: AbortSignal): Promise<void> {
    await eventually(`${count} proxies are connected`, () => {
      if (this.#end !== undefined || signal.aborted) return true;
      if (this.#connected !== count) throw new Error(`${this.#connected} are`);
      return true;
    }, settledMsMax);
    signal.throwIfAborted();
    this.throwIfEnded();
  }

  /** @throws Error that says why the process has ended, if it has: then nothing is known of the plane. */
  throwIfEnded(): void {
    if (this.#end !== undefined) throw new Error(`the process of the simulated proxies has ended by itself: ${this.#end}`);
  }

  /** All take their leave, so that their plane expects none of them back. */
  async leave(): Promise<void> {
    this.#order({ kind: "leave" });
    await eventually("the simulated proxies have left", () => this.#end !== undefined, settledMsMax);
    if (this.#reason !== undefined) this.throwIfEnded();
  }

  #order(order: CrowdOrder): void {
    this.throwIfEnded();
    // One that ends just now hears nothing; "close" says how it ended.
    this.#child.send(order, () => undefined);
  }
}
