import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { findingsIn } from "./ailments.ts";
import { checkHistory } from "./check-history.ts";
import { describeFault, type FaultPlan } from "./fault-plan.ts";
import type { Heal, Scene } from "./faults/fault.ts";
import { injectors } from "./faults/inject.ts";
import type { Sighting, Violation } from "./history.ts";
import { lookAt } from "./look.ts";
import { planes } from "./places.ts";
import { Watcher } from "./watcher.ts";
import type { World } from "./world.ts";
import { Writer } from "./writer.ts";

/** How one run went. */
export interface RunResult {
  readonly seed: number;
  /** Writes that planes acknowledged. */
  readonly acknowledged: number;
  /** Looks at a plane that it answered. */
  readonly sightings: number;
  readonly violations: readonly Violation[];
  /** What lasted and was not named, a sentence each. */
  readonly silent: readonly string[];
  /** What had to go on under a fault and did not, a sentence each. */
  readonly stopped: readonly string[];
  /** From the end of the last fault until all planes had taken a write, showed the same and `atoll check` found nothing, ms. */
  readonly healMs: number;
  /** Why that was never so; then `healMs` is how long it was waited for. */
  readonly unhealed?: string;
}

export interface RunOptions {
  /** Begins the names of everything that is written; new for each run of a world. */
  readonly prefix: string;
  /** As in `Scene`. */
  readonly proxies: number;
  readonly onProgress: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** Writers write for so long before the first fault, so that there is something to lose, ms. */
const quietMs = 2_000;
/** Waits for what should happen in seconds, and may take a busy host much longer. */
const healedMsMax = 300_000;

/** Writes and reads under the faults of `plan`, heals them, and judges what was seen. @throws what a fault throws that could not be brought about or ended */
export async function runFaults(world: World, plan: FaultPlan, { prefix, proxies, onProgress, signal }: RunOptions): Promise<RunResult> {
  world.putBack.clear();
  const random = createSeededRandom(plan.seed);
  const writers = new Map(planes.map((plane) => [plane, new Writer(plane, () => world.plane(plane), { prefix, random })]));
  const watcher = new Watcher(world, [...writers.values()]);
  const silent: string[] = [];
  const stopped: string[] = [];
  const strays: Sighting[] = [];
  const violations: Violation[] = [];
  const stopWriting = new AbortController();
  const stopWatching = new AbortController();
  const writing = [...writers.values()].map((writer) => writer.run(AbortSignal.any([stopWriting.signal, signal])));
  const watching = watcher.run(AbortSignal.any([stopWatching.signal, signal]));
  const stop = async (): Promise<void> => {
    stopWriting.abort();
    stopWatching.abort();
    await Promise.all([...writing, watching]);
  };
  try {
    await pause(quietMs, signal);
    const scene: Scene = {
      world,
      writers,
      proxies,
      signal,
      onSilent: (what) => void silent.push(what),
      onStopped: (what) => void stopped.push(what),
      onStray: (sighting) => void strays.push(sighting),
      onViolation: (violation) => void violations.push(violation),
    };
    await inject(scene, plan, onProgress);
    const healedMs = systemClock.monotonicMs();
    const unhealed = await heal(world, { writers: [...writers.values()], watcher, healedMs, stopWriting, signal }).then(() => undefined, describeError);
    const healMs = systemClock.monotonicMs() - healedMs;
    await stop();
    signal.throwIfAborted();
    const final = await Promise.all(planes.map(async (plane) => await lookAt(world, plane).catch(() => undefined)));
    const history = { registers: [...writers.values()].flatMap(({ registers }) => registers), writes: [...writers.values()].flatMap(({ writes }) => writes), sightings: watcher.sightings, strays, final: final.filter((sighting) => sighting !== undefined) };
    return {
      seed: plan.seed,
      acknowledged: history.writes.filter(({ outcome }) => outcome === "ok").length,
      sightings: history.sightings.length,
      violations: [...violations, ...checkHistory(history)],
      silent: [...silent, ...watcher.silence.silent],
      stopped,
      healMs,
      ...(unhealed === undefined ? {} : { unhealed }),
    };
  } finally {
    await stop();
  }
}

/** One fault after the other; healed in the opposite order, each when it has lasted as long as planned. */
async function inject(scene: Scene, plan: FaultPlan, onProgress: (sentence: string) => void): Promise<void> {
  const active: { readonly heal: Heal; readonly endsMs: number; readonly what: string }[] = [];
  try {
    for (const fault of plan.faults) {
      await pause(fault.afterMs, scene.signal);
      onProgress(`  ${describeFault(fault)}`);
      active.push({ heal: await injectors[fault.kind](scene, fault), endsMs: systemClock.monotonicMs() + fault.lastsMs, what: describeFault(fault) });
    }
    for (let last = active.at(-1); last !== undefined; last = active.at(-1)) {
      const leftMs = last.endsMs - systemClock.monotonicMs();
      if (leftMs > 0) await pause(leftMs, scene.signal);
      active.pop();
      await last.heal();
      onProgress(`  healed: ${last.what}`);
    }
  } finally {
    // What could not go on as planned is not left in force; it has failed already.
    for (const { heal } of active.toReversed()) await heal().catch((error: unknown) => onProgress(`  not healed: ${describeError(error)}`));
  }
}

interface Healing {
  readonly writers: readonly Writer[];
  readonly watcher: Watcher;
  /** When the last fault had ended. */
  readonly healedMs: number;
  readonly stopWriting: AbortController;
  readonly signal: AbortSignal;
}

/** Every plane takes writes again; then nobody writes, and all show the same, and `atoll check` finds nothing. */
async function heal(world: World, { writers, watcher, healedMs, stopWriting, signal }: Healing): Promise<void> {
  // Whoever is told to stop waits for nothing more; what is seen then is not judged.
  await eventually("every plane takes writes again", () => signal.aborted || writers.every((writer) => writer.acknowledgedSince(healedMs) > 0), healedMsMax);
  stopWriting.abort();
  const stoppedMs = systemClock.monotonicMs();
  await eventually("every plane shows the same, and `atoll check` finds nothing", async () => {
    if (signal.aborted) return true;
    const ailments = watcher.ailmentsSince(stoppedMs);
    if (ailments === undefined) return false;
    if (ailments.length > 0) throw new Error(ailments.map(({ what }) => what).join("; "));
    const findings = findingsIn(await world.atoll("check"));
    if (findings.length > 0) throw new Error(findings.join("; "));
    return true;
  }, healedMsMax);
}
