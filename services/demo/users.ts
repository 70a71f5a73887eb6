import type { Agent as HttpAgent } from "node:http";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { openControlServer } from "#federation/runtime/control-socket.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { Agent, request as httpRequest } from "#federation/runtime/node-http.ts";
import { Arrivals } from "./arrivals.ts";
import { numberParam, paramOf } from "./control-params.ts";
import type { DemoService } from "./demo-process.ts";
import { InFlightLog } from "./in-flight-log.ts";
import { RequestWindows } from "./request-windows.ts";

/** The users of every region, in one process; each region's are callers at a fixed rate that never wait for each other's answers. */
export interface UsersConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly groups: readonly UsersGroup[];
  readonly host: string;
  readonly deadlineMs: number;
  /**
   * Before a region's users come, a few callers that do wait for each answer ask for so many pages, until that many have been
   * answered at home: what a host does for the first time it does slowly, and callers who wait cannot pile up meanwhile.
   */
  readonly firstAnswers: number;
  /** Then the rate grows so long, ms. */
  readonly rampMs: number;
}

export interface UsersGroup {
  readonly region: string;
  /** The edge sidecar's outbound port. */
  readonly edge: { readonly address: string; readonly port: number };
  readonly ratePerSecond: number;
  /** One page of a service that nobody here wrote; absent: the storefront's pages. */
  readonly target?: { readonly host: string; readonly path: string };
}

/** The name of the control socket in the data directory. */
export const usersSocketName = "control.sock";

/** Due requests are sent in steps of this at least. */
const tickMs = 5;
/** Somebody may wait for a number of requests in flight, so there is a tick this often though nothing is due. */
const tickMsMax = 50;
export const windowMs = 100;
/** Ten minutes. */
const windowsMax = 6_000;
const finishedKept = 16_384;
/** An open loop against a dead service would grow without end: beyond this a request fails at once. */
const inFlightMax = 4_000;
export const ratePerSecondMax = 20_000;
const anyTime = { min: 0, max: Number.MAX_SAFE_INTEGER };
const connectionsMax = 1_024;
const failuresKept = 50;
const firstCallers = 8;
/** A region that is not there must not keep its users from coming for ever. */
const firstWithinMs = 45_000;
/** A caller whose answer was none asks again after this. */
const firstPauseMs = 100;

interface Page {
  readonly method: "GET" | "POST";
  readonly path: string;
}

const home: Page = { method: "GET", path: "/" };
const account: Page = { method: "GET", path: "/account" };
const checkout: Page = { method: "POST", path: "/checkout" };
/** What ten requests in a row ask for. */
const mix: readonly Page[] = [home, home, home, account, home, home, home, home, checkout, home];


/** How a request ended: where it was served, or why it was not. */
interface CallEnd {
  readonly servedRegion: string | undefined;
  readonly reason: string;
}

interface Failure {
  readonly atMs: number;
  readonly request: string;
  readonly reason: string;
}

/** Resolves when the users of every region have come; they are read and told over the control socket. */
export async function startUsers(config: UsersConfig, clock: Clock): Promise<DemoService> {
  const groups = new Map(config.groups.map((group) => [group.region, new Users(config, group, clock)]));
  const groupOf = (params: unknown): Users => {
    const region = String(paramOf(params, "region"));
    const users = groups.get(region);
    if (users === undefined) throw new AtollError("ATOLL_CONTROL_REFUSED", `no users live in ${region}`);
    return users;
  };
  const control = await openControlServer(join(config.dataDir, usersSocketName), {
    windows: (params) => groupOf(params).windows(numberParam(params, "sinceMs", anyTime)),
    inFlightAt: (params) => ({ inFlight: groupOf(params).inFlight.countAt(numberParam(params, "atMs", anyTime)) }),
    whenInFlight: (params, signal) => groupOf(params).whenInFlight(numberParam(params, "atLeast", { min: 0, max: inFlightMax }), signal),
    failures: (params) => groupOf(params).failures,
    rate: (params) => groupOf(params).setRate(numberParam(params, "ratePerSecond", { min: 1, max: ratePerSecondMax })),
  });
  await Promise.all(Array.from(groups.values(), (users) => users.start()));
  return {
    ports: {},
    async drain() {
      await Promise.all(Array.from(groups.values(), (users) => users.stop()));
      await control[Symbol.asyncDispose]();
    },
  };
}

class Users {
  readonly #config: UsersConfig;
  readonly #group: UsersGroup;
  readonly #clock: Clock;
  readonly #agent: HttpAgent;
  readonly #log = new RequestWindows({ windowMs, capacity: windowsMax });
  readonly #waiting = new Set<{ readonly atLeast: number; resolve(): void }>();
  readonly inFlight = new InFlightLog(finishedKept);
  readonly #arrivals = new Arrivals();
  failures: Failure[] = [];
  #ratePerSecond: number;
  #hasCome = false;
  #sent = 0;
  #tickDueMs = 0;
  #isStopped = false;
  #onIdle: (() => void) | undefined;

  constructor(config: UsersConfig, group: UsersGroup, clock: Clock) {
    this.#config = config;
    this.#group = group;
    this.#ratePerSecond = group.ratePerSecond;
    this.#clock = clock;
    // Idle sockets go after 15 s, before the proxy closes them at 30 s: a request never meets a closing connection.
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: connectionsMax, scheduling: "fifo", timeout: 15_000 });
  }

  async start(): Promise<void> {
    await this.#callFirst();
    this.#hasCome = true;
    this.#arrivals.begin({ ratePerSecond: this.#ratePerSecond, rampMs: this.#config.rampMs }, this.#clock.monotonicMs());
    this.#schedule();
  }

  setRate(ratePerSecond: number): void {
    this.#ratePerSecond = ratePerSecond;
    if (this.#hasCome) this.#arrivals.begin({ ratePerSecond, rampMs: 0 }, this.#clock.monotonicMs());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.inFlight.current > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#agent.destroy();
  }

  windows(sinceMs: number): object {
    const untilMs = this.#clock.nowMs();
    return { region: this.#group.region, windowMs, inFlight: this.inFlight.current, untilMs, windows: this.#log.between(sinceMs, untilMs) };
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

  /** Nothing of this is counted: it is how the first connections and the first of everything come to be. */
  async #callFirst(): Promise<void> {
    const { firstAnswers } = this.#config;
    const untilMs = this.#clock.monotonicMs() + firstWithinMs;
    let answered = 0;
    const call = async (): Promise<void> => {
      while (answered < firstAnswers && !this.#isStopped && this.#clock.monotonicMs() < untilMs) {
        const end = await new Promise<CallEnd>((resolve) => this.#call(this.#pageOf(answered), resolve));
        // Whoever answers for somebody else's service need not say where.
        if (end.servedRegion === this.#group.region || (end.servedRegion !== undefined && this.#group.target !== undefined)) answered++;
        else await new Promise<void>((resolve) => this.#clock.schedule(firstPauseMs, resolve));
      }
    };
    await Promise.all(Array.from({ length: firstCallers }, call));
  }

  #pageOf(number: number): Page {
    const { target } = this.#group;
    return target === undefined ? (mix[number % mix.length] ?? home) : { method: "GET", path: target.path };
  }

  #schedule(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#tickDueMs = nowMs + Math.min(Math.max(this.#arrivals.nextMs - nowMs, tickMs), tickMsMax);
    this.#clock.schedule(this.#tickDueMs - nowMs, () => this.#tick());
  }

  /** Sends what is due. Each request has its planned time, and is late if the process was: nothing is left out. */
  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#tickDueMs;
    if (lateMs > 0) this.#log.noteStall(this.#clock.nowMs(), lateMs);
    if (this.#isStopped) return;
    while (this.#arrivals.nextMs <= nowMs) this.#send(this.#pageOf(this.#sent++), this.#arrivals.take());
    for (const waiter of this.#waiting) if (this.inFlight.current >= waiter.atLeast) waiter.resolve();
    this.#schedule();
  }

  #send(page: Page, plannedMs: number): void {
    const wallMs = this.#clock.nowMs();
    this.#log.countSent(wallMs - (this.#clock.monotonicMs() - plannedMs));
    if (this.inFlight.current >= inFlightMax) {
      this.#count(page, plannedMs, { servedRegion: undefined, reason: "too many requests in flight" });
      return;
    }
    const id = this.inFlight.begin(wallMs);
    this.#call(page, (end) => {
      this.inFlight.end(id, this.#clock.nowMs());
      this.#count(page, plannedMs, end);
      if (this.#isStopped && this.inFlight.current === 0) this.#onIdle?.();
    });
  }

  /** One request; `onEnd` is called once. */
  #call(page: Page, onEnd: (end: CallEnd) => void): void {
    let isDone = false;
    const finish = (servedRegion: string | undefined, reason: string): void => {
      if (isDone) return;
      isDone = true;
      deadline[Symbol.dispose]();
      onEnd({ servedRegion, reason });
    };
    const { deadlineMs } = this.#config;
    const { edge, target } = this.#group;
    const host = target?.host ?? this.#config.host;
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

  #count(page: Page, plannedMs: number, { servedRegion, reason }: CallEnd): void {
    const atMs = this.#clock.nowMs();
    if (servedRegion === undefined) this.failures = [...this.failures.slice(1 - failuresKept), { atMs, request: `${page.method} ${page.path}`, reason }];
    this.#log.countEnd({ atMs, latencyMs: this.#clock.monotonicMs() - plannedMs, isIdempotent: page.method === "GET", servedRegion });
  }
}
