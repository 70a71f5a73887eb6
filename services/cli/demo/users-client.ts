import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { openControlClient, type ControlClient } from "#federation/runtime/control-socket.ts";
import { z } from "zod";
import type { RequestWindow } from "./request-window.ts";

const windowsSchema = z.object({
  region: z.string(),
  windowMs: z.number(),
  inFlight: z.number(),
  untilMs: z.number(),
  windows: z.array(
    z.object({
      startMs: z.number(),
      sent: z.number(),
      ok: z.record(z.string(), z.number()),
      failed: z.number(),
      failedIdempotent: z.number(),
      latencies: z.array(z.tuple([z.number(), z.number()])),
      stallMs: z.number(),
    }),
  ),
});
const countSchema = z.object({ inFlight: z.number() });
const failuresSchema = z.array(z.object({ atMs: z.number(), request: z.string(), reason: z.string() }));

/** A host with a neighbour may keep a process from its turn for seconds. */
const quickMs = 15_000;

/** One request that failed, as the users saw it. */
export type SeenFailure = z.infer<typeof failuresSchema>[number];

/** The users of one region, as an observer talks to them. */
export class UsersClient implements AsyncDisposable {
  readonly region: string;
  readonly #client: ControlClient;
  #windowMs = 100;
  readonly #windows: RequestWindow[] = [];
  #nextMs: number;

  constructor(region: string, client: ControlClient, sinceMs: number) {
    this.region = region;
    this.#client = client;
    this.#nextMs = sinceMs;
  }

  get windowMs(): number {
    return this.#windowMs;
  }

  /** Every whole window fetched so far, oldest first. */
  get windows(): readonly RequestWindow[] {
    return this.#windows;
  }

  /** Fetches the windows that have ended since the last call. */
  async refresh(signal: AbortSignal): Promise<void> {
    const answer = windowsSchema.parse(await this.#client.request("windows", { region: this.region, sinceMs: this.#nextMs }, quickMs, signal));
    this.#windowMs = answer.windowMs;
    this.#windows.push(...answer.windows);
    this.#nextMs = Math.floor(answer.untilMs / answer.windowMs) * answer.windowMs;
  }

  /** Resolves when at least so many requests are in flight, or after `timeoutMs` with false. */
  async whenInFlight(atLeast: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      const answer = countSchema.parse(await this.#client.request("whenInFlight", { region: this.region, atLeast }, timeoutMs, signal));
      return answer.inFlight >= atLeast;
    } catch (error) {
      if (signal.aborted) throw error;
      return false;
    }
  }

  /** How many requests were in flight at that wall-clock moment, up to some seconds ago. */
  async inFlightAt(atMs: number, signal: AbortSignal): Promise<number> {
    return countSchema.parse(await this.#client.request("inFlightAt", { region: this.region, atMs }, quickMs, signal)).inFlight;
  }

  /** From now on they call at this rate. */
  async setRate(ratePerSecond: number, signal: AbortSignal): Promise<void> {
    await this.#client.request("rate", { region: this.region, ratePerSecond }, quickMs, signal);
  }

  /** The newest failures. */
  async failures(signal: AbortSignal): Promise<readonly SeenFailure[]> {
    return failuresSchema.parse(await this.#client.request("failures", { region: this.region }, quickMs, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Connects to the users of `region`. @throws {ATOLL_CONTROL_UNAVAILABLE} */
export async function openUsersClient(usersDir: string, region: string, clock: Clock): Promise<UsersClient> {
  return new UsersClient(region, await openControlClient(join(usersDir, "control.sock"), clock), clock.nowMs());
}
