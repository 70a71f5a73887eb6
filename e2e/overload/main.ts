import { writeFileSync } from "node:fs";
import { pause } from "../harness/eventually.ts";
import { renderLine } from "../harness/render-line.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { describeMachine } from "../bench/report.ts";
import { findPins } from "../bench/pins.ts";
import { parseArguments, usage, type OverloadSettings, type Part } from "./arguments.ts";
import { measurePlane } from "./crowded-plane.ts";
import { burn, countLowered, measureAmplification, measureOverload, measureRecovery, type MeasureContext, type OverloadResult } from "./measures.ts";
import type { OverloadLine } from "./overload-line.ts";
import { ThreeHops } from "./three-hops.ts";
import { TwoSidecars } from "./two-sidecars.ts";

const pins = findPins(process.env);
const twoSidecarsParts: readonly Part[] = ["app", "cpu", "recover"];
const threeHopsParts: readonly Part[] = ["hops", "amplification", "recover"];
/** Of the knee, where something happens to a path that is well. */
const steadyRatio = 0.7;
/** Of the knee's goodput, for a second at twice the knee to be called normal: its share in the long run, less what one second varies by. */
const coldGoodputRatio = 0.9;
/** Of the 99th percentile at half the knee; three in the long run. */
const coldP99Ratio = 4;

async function main(signal: AbortSignal): Promise<void> {
  const parsed = parseArguments(process.argv.slice(2));
  if (parsed.help) {
    console.log(usage);
    return;
  }
  const settings: OverloadSettings = { ...parsed.settings, signal };
  const context: MeasureContext = { settings, onProgress: reportProgress };
  const machine = describeMachine(pins.pins);
  reportProgress(`${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load average before ${machine.loadBefore.toFixed(1)}`);
  if (!machine.pinned) reportProgress("Not pinned: one core only, or no taskset. The figures say little.");
  if (parsed.quick) reportProgress("Quick mode: the figures show that the measure works, no more.");
  const two = parsed.parts.some((part) => twoSidecarsParts.includes(part)) ? await orUndefined(signal, () => measureTwoSidecars(parsed.parts, context)) : undefined;
  const three = parsed.parts.some((part) => threeHopsParts.includes(part)) ? await orUndefined(signal, () => measureThreeHops(parsed.parts, context)) : undefined;
  if (parsed.parts.includes("plane")) reportProgress("more and more write to a plane");
  const plane = parsed.parts.includes("plane") ? await orUndefined(signal, () => measurePlane(context)) : undefined;
  const line: OverloadLine = {
    app: two?.app ?? null,
    cpu: two?.cpu ?? null,
    hops: three?.hops ?? null,
    recoverMs: two?.recoverMs === undefined || three?.recoverMs === undefined ? null : { stall5s: two.recoverMs.stall5s, ...three.recoverMs, coldStart2x: two.recoverMs.coldStart2x },
    amplification3Hops: three?.amplification ?? null,
    handshakesAt2x: two?.handshakesAt2x ?? null,
    placesLoweredWrongly: three?.placesLowered ?? null,
    plane: plane ?? null,
  };
  const text = `${renderLine(line)}\n`;
  if (parsed.jsonPath !== undefined) writeFileSync(parsed.jsonPath, text);
  process.stdout.write(text);
}

/** What fails on one path does not hide what the other one shows; who is told to stop measures nothing more. */
async function orUndefined<T>(signal: AbortSignal, measure: () => Promise<T>): Promise<T | undefined> {
  try {
    return await measure();
  } catch (error) {
    if (signal.aborted) throw error;
    reportProgress(`overload: ${describeError(error)}`);
    process.exitCode = 1;
    return undefined;
  }
}

interface TwoSidecarsResult {
  readonly app?: NonNullable<OverloadLine["app"]>;
  readonly cpu?: NonNullable<OverloadLine["cpu"]>;
  readonly recoverMs?: { readonly stall5s: number; readonly coldStart2x: number };
  readonly handshakesAt2x?: number;
}

async function measureTwoSidecars(parts: readonly Part[], context: MeasureContext): Promise<TwoSidecarsResult> {
  await using sidecars = await TwoSidecars.start(pins, reportProgress);
  let result: TwoSidecarsResult = {};
  if (parts.includes("app") || parts.includes("recover")) {
    reportProgress("the application is the bottleneck");
    const multiples = parts.includes("app") ? [0.5, 1, 1.5, 2, 3, 10] : [0.5, 1];
    const path = await sidecars.slow(context.settings);
    const overload = await measureOverload(path, { multiples, handshakes: () => sidecars.handshakes() }, context);
    if (parts.includes("app")) {
      const { kneeRps, goodput, p99Ms, handshakesAt2x = Number.NaN } = overload;
      result = { app: { kneeRps, goodput, p99AdmittedRatio2x: (p99Ms.get(2) ?? Number.NaN) / (p99Ms.get(0.5) ?? Number.NaN) }, handshakesAt2x };
    }
    if (parts.includes("recover")) result = { ...result, recoverMs: await recoverTwoSidecars(sidecars, overload, context) };
  }
  if (parts.includes("cpu")) {
    reportProgress("the sidecars' processor is the bottleneck");
    const { kneeRps, goodput } = await measureOverload(await sidecars.fast(context.settings), { multiples: [1, 1.5, 2, 3] }, context);
    result = { ...result, cpu: { kneeRps, goodput } };
  }
  return result;
}

async function recoverTwoSidecars(sidecars: TwoSidecars, overload: OverloadResult, context: MeasureContext): Promise<{ readonly stall5s: number; readonly coldStart2x: number }> {
  reportProgress("two sidecars recover");
  const path = await sidecars.slow(context.settings);
  const stall = { name: "the callee's sidecar stood still", requestsPerSecond: steadyRatio * overload.kneeRps, happen: () => sidecars.stallCallee(() => pause(context.settings.stallSeconds * 1_000, context.settings.signal)) };
  const stall5s = await measureRecovery(path, stall, context);
  const coldStart = {
    name: "application and sidecars started cold",
    requestsPerSecond: 2 * overload.kneeRps,
    happen: () => sidecars.restart(),
    describe: () => sidecars.describe(),
    normal: { goodputMin: coldGoodputRatio * overload.kneeGoodput, p99MsMax: coldP99Ratio * (overload.p99Ms.get(0.5) ?? Number.NaN) },
  };
  return { stall5s, coldStart2x: await measureRecovery(path, coldStart, context) };
}

interface ThreeHopsResult {
  readonly amplification?: number;
  readonly hops?: NonNullable<OverloadLine["hops"]>;
  readonly recoverMs?: { readonly burner10s: number; readonly restartAll: number };
  readonly placesLowered?: number;
}

async function measureThreeHops(parts: readonly Part[], context: MeasureContext): Promise<ThreeHopsResult> {
  await using hops = await ThreeHops.start(pins, reportProgress);
  let result: ThreeHopsResult = {};
  if (parts.includes("amplification")) {
    reportProgress("everything fails at the third hop");
    result = { amplification: await measureAmplification(hops, context) };
  }
  if (!parts.includes("hops") && !parts.includes("recover")) return result;
  await hops.moveLastAway();
  reportProgress("three hops through two regions, all on all processors");
  const { kneeRps, goodput } = await measureOverload(hops.path(context.settings), { multiples: parts.includes("hops") ? [1, 1.5, 2, 3] : [1] }, context);
  if (parts.includes("hops")) result = { ...result, hops: { kneeRps, goodput } };
  return parts.includes("recover") ? { ...result, ...(await recoverThreeHops(hops, kneeRps, context)) } : result;
}

async function recoverThreeHops(hops: ThreeHops, kneeRps: number, context: MeasureContext): Promise<Pick<ThreeHopsResult, "recoverMs" | "placesLowered">> {
  const { settings } = context;
  const path = hops.path(settings);
  const requestsPerSecond = steadyRatio * kneeRps;
  reportProgress("the host stands still, then is short of processors");
  let placesLowered = await countLoweredByStalls(hops, requestsPerSecond, context);
  let burner10s = Number.NaN;
  placesLowered += await countLowered(
    hops,
    async () => void (burner10s = await measureRecovery(path, { name: "busy loops on all processors", requestsPerSecond, happen: () => burn(settings.burnSeconds, settings.signal) }, context)),
    context,
  );
  const restartAll = await measureRecovery(path, { name: "all sidecars restarted at once", requestsPerSecond, happen: () => hops.restartSidecars() }, context);
  return { recoverMs: { burner10s, restartAll }, placesLowered };
}

/** The caller's process alone, then every process of the federation: each time a stall of our own, and nobody else's fault. */
async function countLoweredByStalls(hops: ThreeHops, requestsPerSecond: number, context: MeasureContext): Promise<number> {
  let lowered = 0;
  for (const what of ["edge", "everything"] as const) {
    const path = hops.path(context.settings);
    await path.measureWell(requestsPerSecond);
    const load = path.start([{ requestsPerSecond, seconds: 600 }]);
    try {
      lowered += await countLowered(hops, () => hops.stall(what, () => pause(context.settings.stallSeconds * 600, context.settings.signal)), context);
    } finally {
      load.stop();
    }
    await load.result;
    reportProgress(`  ${what} stood still: ${lowered} places lowered so far`);
  }
  return lowered;
}

try {
  await keepAlive(() => main(stopSignal()));
} catch (error) {
  console.error(`overload: ${describeError(error)}`);
  process.exitCode = 1;
}
