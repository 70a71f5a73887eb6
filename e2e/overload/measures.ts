import { availableParallelism } from "node:os";
import { systemClock } from "#federation/runtime/clock.ts";
import { Burners } from "../harness/burners.ts";
import { pause } from "../harness/eventually.ts";
import { median } from "../bench/statistics.ts";
import type { OverloadSettings } from "./arguments.ts";
import { describeSummary, type LoadedPath, type RunningLoad } from "./loaded-path.ts";
import { recoveredAfterMs, summarizePart, windowMs, type LoadSummary, type Normal } from "./load-plan.ts";
import { LoweredPlaces } from "./lowered-places.ts";
import type { GoodputRatios } from "./overload-line.ts";
import type { ThreeHops } from "./three-hops.ts";

/** What every measure is given. */
export interface MeasureContext {
  readonly settings: OverloadSettings;
  readonly onProgress: (sentence: string) => void;
}

/** What a path showed around its knee. */
export interface OverloadResult {
  readonly kneeRps: number;
  /** Goodput at the knee's own rate, measured beside the rest. */
  readonly kneeGoodput: number;
  readonly goodput: GoodputRatios;
  /** By multiple; medians. */
  readonly p99Ms: ReadonlyMap<number, number>;
  /** Handshakes at 2 × the knee less those at 0.5 ×, in equal times; undefined where they were not counted. */
  readonly handshakesAt2x: number | undefined;
}

/** Finds the knee, then loads at multiples of it, forward in one pass and backward in the next. */
export async function measureOverload(
  path: LoadedPath,
  { multiples, handshakes }: { readonly multiples: readonly number[]; readonly handshakes?: () => Promise<number> },
  { settings, onProgress }: MeasureContext,
): Promise<OverloadResult> {
  const kneeRps = await path.findKnee();
  onProgress(`  the knee is at ${kneeRps.toFixed(0)} requests per second`);
  const passes: Map<number, { readonly summary: LoadSummary; readonly handshakes: number }>[] = [];
  for (let pass = 0; pass < settings.passes; pass++) {
    const samples: (typeof passes)[number] = new Map();
    for (const multiple of pass % 2 === 0 ? multiples : multiples.toReversed()) {
      const before = (await handshakes?.()) ?? 0;
      const summary = await path.measure(kneeRps * multiple);
      samples.set(multiple, { summary, handshakes: ((await handshakes?.()) ?? 0) - before });
      onProgress(`  ${multiple} × the knee: ${describeSummary(summary)}${handshakes === undefined ? "" : `, ${samples.get(multiple)?.handshakes} handshakes`}`);
    }
    passes.push(samples);
  }
  const over = (pick: (samples: (typeof passes)[number]) => number): number => median(passes.map(pick));
  const goodputAt = (samples: (typeof passes)[number], multiple: number): number => samples.get(multiple)?.summary.goodputPerSecond ?? Number.NaN;
  const handshakesOf = (samples: (typeof passes)[number], multiple: number): number => samples.get(multiple)?.handshakes ?? Number.NaN;
  return {
    kneeRps,
    kneeGoodput: over((samples) => goodputAt(samples, 1)),
    goodput: Object.fromEntries(multiples.filter((multiple) => multiple > 1).map((multiple) => [String(multiple), over((samples) => goodputAt(samples, multiple) / goodputAt(samples, 1))])),
    p99Ms: new Map(multiples.map((multiple) => [multiple, over((samples) => samples.get(multiple)?.summary.p99Ms ?? Number.NaN)])),
    handshakesAt2x: handshakes === undefined ? undefined : over((samples) => handshakesOf(samples, 2) - handshakesOf(samples, 0.5)),
  };
}

/** Something that happens to a path under load. */
export interface Trigger {
  readonly name: string;
  readonly requestsPerSecond: number;
  /** Resolves at its end. */
  readonly happen: () => Promise<void>;
  /** By default nearly all answered, at hardly more than twice the latency that the path had when it was well. */
  readonly normal?: Normal;
  /** What the processes say of themselves, asked at the end of the observation while the load still runs; shown when it was not normal by then. */
  readonly describe?: () => Promise<readonly string[]>;
}

/** How long after the trigger's end a whole second is normal again; the whole observation when none is. */
export async function measureRecovery(path: LoadedPath, trigger: Trigger, { settings, onProgress }: MeasureContext): Promise<number> {
  const before = trigger.normal === undefined ? await path.measureWell(trigger.requestsPerSecond) : undefined;
  await path.quiet();
  const load = path.start([{ requestsPerSecond: trigger.requestsPerSecond, seconds: 600 }]);
  const { endMs, state } = await untilStopped(load, async () => {
    await pause(settings.beforeSeconds * 1_000, settings.signal);
    await trigger.happen();
    const atMs = systemClock.nowMs();
    await pause(settings.observeSeconds * 1_000, settings.signal);
    return { endMs: atMs, state: (await trigger.describe?.()) ?? [] };
  });
  const result = await load.result;
  const normal = trigger.normal ?? { goodputMin: 0.95 * trigger.requestsPerSecond, p99MsMax: 2 * (before?.p99Ms ?? Number.NaN) + 20 };
  const recoveredMs = recoveredAfterMs(result, endMs, normal);
  const justBefore = summarizePart(result, 1, settings.beforeSeconds - 1);
  onProgress(`  ${trigger.name} at ${trigger.requestsPerSecond.toFixed(0)}/s: before, ${describeSummary(justBefore)}`);
  for (let second = 0; second < settings.observeSeconds; second++) {
    const from = (endMs - result.startMs) / 1_000 + second;
    onProgress(`    ${second} s after: ${describeSummary(summarizePart(result, Math.ceil(from * 1_000 / windowMs) * windowMs / 1_000, 1))}`);
  }
  onProgress(`  ${trigger.name}: ${recoveredMs === undefined ? `not normal within ${settings.observeSeconds} s` : `normal after ${recoveredMs.toFixed(0)} ms`}`);
  if (recoveredMs === undefined) for (const line of state) onProgress(`    ${line}`);
  return recoveredMs ?? settings.observeSeconds * 1_000;
}

/** The load ends whatever happens. */
async function untilStopped<T>(load: RunningLoad, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    load.stop();
  }
}

/** Keeps every processor busy at normal priority for so long. */
export async function burn(seconds: number, signal: AbortSignal): Promise<void> {
  using _ = Burners.start(availableParallelism());
  await pause(seconds * 1_000, signal);
}

/** Requests that reach the third service for each that users send, while it fails each and retries are on. */
export async function measureAmplification(hops: ThreeHops, { settings, onProgress }: MeasureContext): Promise<number> {
  const path = hops.path(settings);
  await path.quiet();
  const load = path.start([{ requestsPerSecond: amplificationRps, seconds: 600 }]);
  const { arrivedBefore, failMs } = await untilStopped(load, async () => {
    // Successes fill the retry budgets, as they do before any real outage.
    await pause(settings.beforeSeconds * 1_000, settings.signal);
    const at = { arrivedBefore: await hops.setLast("fail"), failMs: systemClock.nowMs() };
    await pause(settings.seconds * 2_000, settings.signal);
    return at;
  });
  const result = await load.result;
  const arrived = (await hops.setLast("heal")) - arrivedBefore;
  const sent = result.windows.slice(Math.round((failMs - result.startMs) / windowMs)).reduce((sum, { planned }) => sum + planned, 0);
  onProgress(`  ${arrived} requests reached the third service of ${sent} that were sent`);
  return arrived / sent;
}

const amplificationRps = 100;

/** Counts places that become lowered while `happen` runs and for two seconds after it: the longest in which late timers could still decide. */
export async function countLowered(hops: ThreeHops, happen: () => Promise<void>, { settings, onProgress }: MeasureContext): Promise<number> {
  const places = await LoweredPlaces.watch(await hops.adminPorts(), { onLowered: onProgress, isGone: (service, cluster) => hops.isGone(service, cluster) });
  let lowered = 0;
  try {
    await happen();
    await pause(2_000, settings.signal);
  } finally {
    lowered = await places.stop();
  }
  return lowered;
}
