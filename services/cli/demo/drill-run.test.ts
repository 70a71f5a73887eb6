import { describe, expect, it } from "vitest";
import type { ControlClient } from "#federation/runtime/control-socket.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { storefrontWorkMs } from "../up/demo-federation.ts";
import { SupervisorClient } from "../up/supervisor-client.ts";
import { behindMs, loadFor } from "./demo-load.ts";
import { runRegionLossDrill, type DrillReport, type DrillStep } from "./drill-run.ts";
import { UsersClient } from "./users-client.ts";

const regions = ["eu", "us"];
const windowMs = 100;

/** A federation that answers everything at once, up to so many requests/s in all; beyond that, nothing. Users' windows follow from rates alone. */
class World {
  readonly clock = new VirtualClock();
  readonly rates = new Map(regions.map((region) => [region, 1]));
  workMs = storefrontWorkMs;
  isDead = false;
  carriesPerSecond: number;
  /** Requests that are in flight for no reason that the load knows. */
  inFlightRatio = 1;

  constructor(carriesPerSecond: number) {
    this.carriesPerSecond = carriesPerSecond;
  }

  get ratePerSecond(): number {
    return [...this.rates.values()].reduce((sum, rate) => sum + rate, 0);
  }

  users(region: string): UsersClient {
    return new UsersClient(
      region,
      this.#client((operation, params) => {
        if (operation === "rate") this.rates.set(region, params["ratePerSecond"] as number);
        if (operation === "windows") return this.#windows(region, params["sinceMs"] as number);
        if (operation === "failures") return [];
        return { inFlight: this.#inFlight(region), atMs: this.clock.nowMs() };
      }),
      this.clock.nowMs(),
    );
  }

  supervisor(): SupervisorClient {
    return new SupervisorClient(
      this.#client((operation) => {
        if (operation === "kill") this.isDead = true;
        if (operation === "start") this.isDead = false;
        if (operation === "kill") return { atMs: this.clock.nowMs(), names: ["eu-apps"] };
        return operation === "list" ? [{ name: "eu-apps", kind: "app" }] : [];
      }),
    );
  }

  #inFlight(region: string): number {
    return Math.floor(((this.rates.get(region) ?? 0) * (this.workMs + behindMs) * this.inFlightRatio) / 1_000);
  }

  #windows(region: string, sinceMs: number): object {
    const untilMs = this.clock.nowMs();
    const windows = [];
    for (let startMs = Math.ceil(sinceMs / windowMs) * windowMs; startMs + windowMs <= untilMs; startMs += windowMs) windows.push(this.#window(region, startMs));
    return { region, windowMs, inFlight: this.#inFlight(region), untilMs, windows };
  }

  #window(region: string, startMs: number): object {
    const sent = ((this.rates.get(region) ?? 0) * windowMs) / 1_000;
    const server = this.isDead && region === "eu" ? "us" : region;
    const isServed = this.ratePerSecond <= this.carriesPerSecond;
    const latencyMs = behindMs + (server === "eu" ? this.workMs : storefrontWorkMs);
    const base = { startMs, sent, stallMs: 0 };
    return isServed ? { ...base, ok: { [server]: sent }, failed: 0, failedIdempotent: 0, latencies: [[latencyMs, sent]] } : { ...base, ok: {}, failed: sent, failedIdempotent: sent, latencies: [] };
  }

  #client(answer: (operation: string, params: Readonly<Record<string, unknown>>) => unknown): ControlClient {
    return {
      request: (operation, params) => Promise.resolve(answer(operation, params as Readonly<Record<string, unknown>>)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}

interface Outcome {
  readonly report?: DrillReport;
  readonly error?: unknown;
  readonly steps: readonly DrillStep[];
  readonly notes: readonly string[];
}

async function drillIn(world: World, ratePerSecond: number): Promise<Outcome> {
  const steps: DrillStep[] = [];
  const notes: string[] = [];
  const ends: Pick<Outcome, "report" | "error">[] = [];
  void runRegionLossDrill(
    {
      region: "eu",
      clock: world.clock,
      supervisor: world.supervisor(),
      users: regions.map((region) => world.users(region)),
      ratePerSecond,
      loadFor: (rate) => loadFor(rate, "eu", regions),
      setWork: (workMs) => {
        world.workMs = workMs;
        return Promise.resolve();
      },
      inFlightMin: 50,
      outageMs: 8_000,
      hooks: { onStep: (step) => steps.push(step), onSample: () => undefined, onNote: (text) => notes.push(text), whenToKill: () => Promise.resolve() },
    },
    new AbortController().signal,
  ).then(
    (report) => ends.push({ report }),
    (error: unknown) => ends.push({ error }),
  );
  while (ends.length === 0) await world.clock.advance(1_000);
  return { ...ends[0], steps, notes };
}

const allSteps: readonly DrillStep[] = ["observing", "killed", "shifted", "returning", "returned", "recovered"];

describe("a region-loss drill", () => {
  it("goes through on a host that carries what users send, with 50 in flight", async () => {
    const { report, steps, notes } = await drillIn(new World(1_000), 520);
    expect(steps).toEqual(allSteps);
    expect(notes).toEqual([]);
    expect(report?.drill).toMatchObject({ failed: 0, failedIdempotentOutsideShift: 0 });
    expect(report?.drill.inFlightAtKill).toBeGreaterThanOrEqual(50);
    expect(report?.drill.shiftMs).not.toBeNull();
  });

  it("lowers the rate step by step where a host does not keep up, and still has 50 in flight", async () => {
    const world = new World(120);
    const { report, steps, notes } = await drillIn(world, 520);
    expect(steps).toEqual(allSteps);
    expect(notes.map((note) => /(\d+) requests\/s in all instead of (\d+)/.exec(note)?.slice(1).map(Number))).toEqual([[312, 520], [187, 312], [112, 187]]);
    expect(world.ratePerSecond).toBe(112);
    expect(report?.drill.inFlightAtKill).toBeGreaterThanOrEqual(50);
    // What failed before the load fitted is no part of the drill.
    expect(report?.drill).toMatchObject({ failed: 0, failedIdempotentOutsideShift: 0 });
  });

  it("has requests take longer where too few are in flight", async () => {
    const world = new World(1_000);
    world.inFlightRatio = 0.7;
    const { report } = await drillIn(world, 200);
    expect(report?.drill.inFlightAtKill).toBeGreaterThanOrEqual(50);
  });

  it("is refused only when nobody is answered however few call", async () => {
    const { error, steps, notes } = await drillIn(new World(0), 100);
    expect(isAtollError(error, "ATOLL_DRILL_REFUSED")).toBe(true);
    expect(steps).toEqual(["observing"]);
    expect(notes.length).toBeGreaterThan(1);
  });
});
