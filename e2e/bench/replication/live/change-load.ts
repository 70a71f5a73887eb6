import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { quantile } from "../../statistics.ts";
import type { LiveMesh } from "./live-mesh.ts";

/** Two quantiles of some times, ms. */
export interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Changes made one after the other, each beside a bare hop. */
export interface IdleResult {
  readonly hop: Quantiles;
  readonly wrote: Quantiles;
  readonly arrived: Quantiles;
}

/** Changes made at a rate, whether or not earlier ones have come through. */
export interface LoadedResult {
  readonly rate: number;
  readonly asked: number;
  /** Refused, or not answered. */
  readonly failed: number;
  /** Taken, and unknown in the other region when as long as `arriveMsMax` had passed since the last. */
  readonly missing: number;
  /** Taken a second, from the first to the last answer. */
  readonly takenPerSecond: number;
  readonly arrived: Quantiles;
  /** CPU time for each change that was taken, by process, ms; what no load explains, as heartbeats, is in it. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** How long the last change of a load may take, ms. */
const arriveMsMax = 60_000;

export async function measureIdle(mesh: LiveMesh, changes: number, signal: AbortSignal): Promise<IdleResult> {
  const hop: number[] = [];
  const wrote: number[] = [];
  const arrived: number[] = [];
  for (let at = 0; at < changes; at++) {
    hop.push(await mesh.hop.once(signal));
    const times = await mesh.change(at % mesh.services, signal);
    wrote.push(times.wroteMs);
    arrived.push(times.arrivedMs);
  }
  return { hop: quantilesOf(hop), wrote: quantilesOf(wrote), arrived: quantilesOf(arrived) };
}

/** Latencies count from when a change was due: a load that waits for answers would hide how long they take. */
export async function measureLoaded(mesh: LiveMesh, { rate, seconds }: { readonly rate: number; readonly seconds: number }, signal: AbortSignal): Promise<LoadedResult> {
  const before = await mesh.cpuMicros();
  const startMs = systemClock.monotonicMs();
  const asked = Math.round(rate * seconds);
  const arrived: number[] = [];
  let failed = 0;
  let lastMs = startMs;
  const changes: Promise<void>[] = [];
  for (let at = 0; at < asked; at++) {
    const dueMs = startMs + (at * 1_000) / rate;
    const waitMs = dueMs - systemClock.monotonicMs();
    if (waitMs > 0) await sleep(systemClock, waitMs, signal);
    const lateMs = systemClock.monotonicMs() - dueMs;
    changes.push(
      mesh.change(at % mesh.services, signal).then(
        ({ wroteMs, arrivedMs }) => {
          arrived.push(lateMs + arrivedMs);
          lastMs = Math.max(lastMs, dueMs + lateMs + wroteMs);
        },
        () => void failed++,
      ),
    );
  }
  await Promise.race([Promise.all(changes), sleep(systemClock, arriveMsMax, signal)]);
  const cpuMs = perChange(before, await mesh.cpuMicros(), arrived.length);
  return { rate, asked, failed, missing: asked - failed - arrived.length, takenPerSecond: (arrived.length * 1_000) / (lastMs - startMs), arrived: quantilesOf(arrived), cpuMs };
}

function perChange(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, changes: number): Readonly<Record<string, number>> {
  return Object.fromEntries(Array.from(after, ([name, micros]) => [name, (micros - (before.get(name) ?? 0)) / 1_000 / Math.max(1, changes)]));
}

function quantilesOf(times: readonly number[]): Quantiles {
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}
