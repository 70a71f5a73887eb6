import type { Pins, Role } from "../bench/pins.ts";
import { startProcess } from "../bench/rig.ts";
import type { BenchProcess } from "../bench/rig.ts";
import { benchHost } from "../bench/shape.ts";
import { handshakesOf } from "../harness/handshakes.ts";
import { onePath } from "../harness/plans.ts";
import { appsName } from "#services/cli/up/planned-process.ts";
import { TestFederation } from "../harness/test-federation.ts";
import { join } from "node:path";
import type { AppConfig } from "./app.ts";
import type { OverloadSettings } from "./arguments.ts";
import { childEnvironment, LoadedPath } from "./loaded-path.ts";

const callerProxy = "bench-storefront-proxy";
const calleeProxy = "bench-catalog-proxy";
const calleeApp = "bench-catalog";

/** Eight workers who take 50 ms each: 160 requests per second, so little that ten times of it is no load for two sidecars. */
const slowApp = { workers: 8, workMs: 50, role: "load" } as const;
/** Beside its sidecar, as applications are: next to the load it would be the load's core that is short, before the sidecars' is. */
const fastApp = { workers: 0, workMs: 0, role: "subject" } as const;
/** Twenty times what an idle application takes. */
const slowDeadlineMs = 1_000;
/** A queue that adds one and a half times the work to every answer is one that grows. */
const slowKneeMs = 125;
const fastDeadlineMs = 500;
const fastKneeMs = 50;

/** Two sidecars of a real federation with an application of ours behind the second: sidecars on one core, load on another, the application where it takes nothing from what is measured. */
export class TwoSidecars implements AsyncDisposable {
  readonly #federation: TestFederation;
  readonly #pins: Pins;
  readonly #onProgress: (sentence: string) => void;
  readonly #appPort: number;
  #app: BenchProcess | undefined;
  #kind: typeof slowApp | typeof fastApp = slowApp;

  private constructor(federation: TestFederation, parts: { readonly pins: Pins; readonly appPort: number; readonly onProgress: (sentence: string) => void }) {
    this.#federation = federation;
    this.#pins = parts.pins;
    this.#appPort = parts.appPort;
    this.#onProgress = parts.onProgress;
  }

  static async start(pins: Pins, onProgress: (sentence: string) => void): Promise<TwoSidecars> {
    onProgress("starting a federation of one cluster with two sidecars");
    await using cleanUp = new AsyncDisposableStack();
    const federation = cleanUp.use(await TestFederation.start(onePath));
    const [region] = onePath.regions;
    const apps = appsName(region?.name ?? "");
    const appPort = await federation.port(apps, calleeApp);
    await federation.stop(apps);
    const path = new TwoSidecars(federation, { pins, appPort, onProgress });
    await path.#pinSidecars();
    cleanUp.move();
    return path;
  }

  /** The path where the application is the bottleneck. */
  async slow(settings: OverloadSettings): Promise<LoadedPath> {
    await this.#serve(slowApp);
    return await this.#path(settings, { deadlineMs: slowDeadlineMs, slowMs: slowKneeMs, rampFrom: 20 });
  }

  /** The path where the sidecars' processor is. */
  async fast(settings: OverloadSettings): Promise<LoadedPath> {
    await this.#serve(fastApp);
    return await this.#path(settings, { deadlineMs: fastDeadlineMs, slowMs: fastKneeMs, rampFrom: 400 });
  }

  /** TLS handshakes that the caller's sidecar has begun. */
  async handshakes(): Promise<number> {
    return handshakesOf(await this.#federation.metrics(callerProxy), "outbound");
  }

  /** What both sidecars measure of themselves and is not zero, histograms left out. */
  async describe(): Promise<readonly string[]> {
    const lines: string[] = [];
    for (const name of [callerProxy, calleeProxy]) {
      const metrics = await this.#federation.metrics(name);
      lines.push(`${name}:`, ...metrics.split("\n").filter((line) => line.startsWith("atoll_") && !/_(bucket|sum|count)[{ ]| 0$/.test(line)));
    }
    return lines;
  }

  /** Stops the callee's sidecar for a while, as a host does that is short of something. */
  async stallCallee(pauseFor: () => Promise<void>): Promise<void> {
    const { pid } = await this.#federation.view(calleeProxy);
    if (pid === undefined) throw new Error(`${calleeProxy} does not run`);
    process.kill(pid, "SIGSTOP");
    try {
      await pauseFor();
    } finally {
      process.kill(pid, "SIGCONT");
    }
  }

  /** Kills the application and both sidecars and starts them; resolves when they say that they serve. */
  async restart(): Promise<void> {
    await this.#federation.kill(callerProxy, calleeProxy);
    await this.#serve(this.#kind);
    await this.#federation.start(callerProxy, calleeProxy);
    await this.#pinSidecars();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]();
    await this.#federation[Symbol.asyncDispose]();
  }

  async #path(settings: OverloadSettings, speeds: { readonly deadlineMs: number; readonly slowMs: number; readonly rampFrom: number }): Promise<LoadedPath> {
    const port = await this.#federation.port(callerProxy, "outbound");
    return new LoadedPath({ pins: this.#pins, role: "load", port, host: benchHost, ...speeds, onProgress: this.#onProgress }, settings);
  }

  async #serve(kind: typeof slowApp | typeof fastApp): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]();
    this.#kind = kind;
    const { role, ...config } = kind;
    this.#app = startApps({ directory: this.#federation.place.directory, pins: this.#pins, role }, "catalog", [{ ...config, port: this.#appPort }]);
  }

  async #pinSidecars(): Promise<void> {
    for (const name of [callerProxy, calleeProxy]) {
      const { pid } = await this.#federation.view(name);
      if (pid !== undefined) await this.#pins.move("subject", pid);
    }
  }
}

/** Starts a process with `apps` in it; its log is in `directory`. */
export function startApps(
  where: { readonly directory: string; readonly pins: Pins; readonly role: Role },
  name: string,
  configs: readonly AppConfig[],
): BenchProcess {
  const tool = { path: process.execPath, environment: childEnvironment };
  const args = [join(import.meta.dirname, "app-main.ts"), JSON.stringify(configs)];
  return startProcess({ ...where.pins, directory: where.directory }, { name: `overload-${name}`, role: where.role, tool, args, hasSession: true });
}
