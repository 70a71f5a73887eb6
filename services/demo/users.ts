import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { openControlServer } from "#federation/runtime/control-socket.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { arrivalMs, type Arrivals } from "./arrivals.ts";
import type { DemoService } from "./demo-process.ts";
import { InFlightLog } from "./in-flight-log.ts";
import { RequestWindows } from "./request-windows.ts";

/** The users of one region: callers at a fixed rate that never wait for each other's answers. */
export interface UsersConfig extends Arrivals {
  readonly name: string;
  readonly dataDir: string;
  readonly region: string;
  /** The edge sidecar's outbound port. */
  readonly edge: { readonly address: string; readonly port: number };
  readonly host: string;
  readonly deadlineMs: number;
}

/** The name of the control socket in the data directory. */
export const usersSocketName = "control.sock";

const tickMs = 5;
export const windowMs = 100;
/** Ten minutes. */
const windowsMax = 6_000;
const finishedKept = 16_384;
/** An open loop against a dead service would grow without end: beyond this a request fails at once. */
const inFlightMax = 4_000;
const connectionsMax = 1_024;
const failuresKept = 50;

interface Page {
  readonly method: "GET" | "POST";
  readonly path: string;
}

const home: Page = { method: "GET", path: "/" };
const account: Page = { method: "GET", path: "/account" };
const checkout: Page = { method: "POST", path: "/checkout" };
/** What ten requests in a row ask for. */
const mix: readonly Page[] = [home, home, home, account, home, home, home, home, checkout, home];

interface Failure {
  readonly atMs: number;
  readonly request: string;
  readonly reason: string;
}

/** Starts calling at once; the numbers are read over the control socket (`windows`, `inFlightAt`, `whenInFlight`, `failures`). */
export async function startUsers(config: UsersConfig, clock: Clock): Promise<DemoService> {
  const users = new Users(config, clock);
  const control = await openControlServer(join(config.dataDir, usersSocketName), {
    windows: (params) => users.windows(numberOf(params, "sinceMs")),
    inFlightAt: (params) => ({ inFlight: users.inFlight.countAt(numberOf(params, "atMs")) }),
    whenInFlight: (params, signal) => users.whenInFlight(numberOf(params, "atLeast"), signal),
    failures: () => users.failures,
  });
  users.start();
  return {
    ports: {},
    async drain() {
      await users.stop();
      await control[Symbol.asyncDispose]();
    },
  };
}

class Users {
  readonly #config: UsersConfig;
  readonly #clock: Clock;
  readonly #agent: Agent;
  readonly #log = new RequestWindows({ windowMs, capacity: windowsMax });
  readonly #waiting = new Set<{ readonly atLeast: number; resolve(): void }>();
  readonly inFlight = new InFlightLog(finishedKept);
  failures: Failure[] = [];
  #planned = 0;
  #startMs = 0;
  #lastTickMs = 0;
  #isStopped = false;
  #onIdle: (() => void) | undefined;

  constructor(config: UsersConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    // Idle sockets go after 15 s, before the proxy closes them at 30 s: a request never meets a closing connection.
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: connectionsMax, scheduling: "fifo", timeout: 15_000 });
  }

  start(): void {
    this.#startMs = this.#clock.monotonicMs();
    this.#lastTickMs = this.#startMs;
    this.#clock.schedule(tickMs, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.inFlight.current > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#agent.destroy();
  }

  windows(sinceMs: number): object {
    const untilMs = this.#clock.nowMs();
    return { region: this.#config.region, windowMs, inFlight: this.inFlight.current, untilMs, windows: this.#log.between(sinceMs, untilMs) };
  }

  whenInFlight(atLeast: number, signal: AbortSignal): Promise<object> {
    return new Promise((resolve) => {
      const waiter = {
        atLeast,
        resolve: (): void => {
          this.#waiting.delete(waiter);
          resolve({ inFlight: this.inFlight.current, atMs: this.#clock.nowMs() });
        },
      };
      signal.addEventListener("abort", () => waiter.resolve(), { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Sends what is due. Each request has its planned time, and is late if the process was: nothing is left out. */
  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#lastTickMs - tickMs;
    this.#lastTickMs = nowMs;
    if (lateMs > 0) this.#log.noteStall(this.#clock.nowMs(), lateMs);
    if (this.#isStopped) return;
    for (;;) {
      const plannedMs = this.#startMs + arrivalMs(this.#planned, this.#config);
      if (plannedMs > nowMs) break;
      this.#send(mix[this.#planned % mix.length] ?? home, plannedMs);
      this.#planned++;
    }
    for (const waiter of this.#waiting) if (this.inFlight.current >= waiter.atLeast) waiter.resolve();
    this.#clock.schedule(tickMs, () => this.#tick());
  }

  #send(page: Page, plannedMs: number): void {
    const wallMs = this.#clock.nowMs();
    this.#log.countSent(wallMs - (this.#clock.monotonicMs() - plannedMs));
    if (this.inFlight.current >= inFlightMax) {
      this.#count(page, plannedMs, undefined, "too many requests in flight");
      return;
    }
    const id = this.inFlight.begin(wallMs);
    let isDone = false;
    const finish = (servedRegion: string | undefined, reason: string): void => {
      if (isDone) return;
      isDone = true;
      deadline[Symbol.dispose]();
      this.inFlight.end(id, this.#clock.nowMs());
      this.#count(page, plannedMs, servedRegion, reason);
      if (this.#isStopped && this.inFlight.current === 0) this.#onIdle?.();
    };
    const { edge, host, deadlineMs } = this.#config;
    const length = page.method === "POST" ? { "content-length": 0 } : {};
    const outgoing = httpRequest(
      { host: edge.address, port: edge.port, agent: this.#agent, method: page.method, path: page.path, headers: { host, ...length }, setHost: false },
      (incoming) => {
        const { statusCode = 0 } = incoming;
        incoming.resume();
        incoming.once("error", (error) => finish(undefined, error.message));
        incoming.once("end", () => {
          const region = String(incoming.headers["x-region"] ?? "unknown");
          finish(statusCode === 200 ? region : undefined, `status ${statusCode} from ${region}`);
        });
      },
    );
    const deadline = this.#clock.schedule(deadlineMs, () => outgoing.destroy(new Error(`no answer within ${deadlineMs} ms`)));
    outgoing.once("error", (error) => finish(undefined, error.message));
    outgoing.once("close", () => finish(undefined, "closed without an answer"));
    outgoing.end();
  }

  #count(page: Page, plannedMs: number, servedRegion: string | undefined, reason: string): void {
    const atMs = this.#clock.nowMs();
    if (servedRegion === undefined) this.failures = [...this.failures.slice(1 - failuresKept), { atMs, request: `${page.method} ${page.path}`, reason }];
    this.#log.countEnd({ atMs, latencyMs: this.#clock.monotonicMs() - plannedMs, isIdempotent: page.method === "GET", servedRegion });
  }
}

function numberOf(params: unknown, key: string): number {
  const value = (params as Readonly<Record<string, unknown>> | null)?.[key];
  if (typeof value !== "number") throw new AtollError("ATOLL_CONTROL_REFUSED", `${key}: expected a number`);
  return value;
}
