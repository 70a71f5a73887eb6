import type { BenchSettings, CostSample } from "./measure.ts";
import { readTreeUsage } from "./process-usage.ts";
import type { Rig } from "./rig.ts";
import { baseName, measureCosts, residentMegabytes, warmUp } from "./run-shape.ts";
import { pairedRatios, summarize } from "./statistics.ts";
import type { Summary } from "./statistics.ts";
import type { RunningSubject, Subject } from "./subject.ts";
import { startBackend } from "./surroundings.ts";

/** What one pair of proxies showed at one concurrency. */
export interface PairSubjectResult {
  readonly subject: string;
  /** Of the caller's and the callee's proxy together. */
  readonly cpuMicrosPerRequest: Summary;
  readonly callerMicrosPerRequest: Summary;
  readonly calleeMicrosPerRequest: Summary;
  readonly requestsPerSecond: Summary;
  readonly p99Micros: Summary;
  /** Against HAProxy's pair, sample by sample. */
  readonly cpuRatio?: Summary;
  readonly p99Ratio?: Summary;
  /** Between the two, from their start to the end of this concurrency. */
  readonly handshakes: number;
  /** Of the larger of the two: after a few requests, and at most. */
  readonly idleMegabytes: number;
  readonly residentMegabytes: number;
  readonly errors: number;
}

/** Pairs of proxies at one concurrency. */
export interface PairResult {
  readonly shape: "pair";
  readonly connections: number;
  readonly subjects: readonly PairSubjectResult[];
}

/** What is measured, and how. */
export interface PairRun {
  readonly subjects: readonly Subject[];
  readonly settings: BenchSettings;
  readonly onProgress: (sentence: string) => void;
}

/** Starts every pair side by side and measures them in turn, forward and back in each round, at one concurrency after the other. */
export async function runPair(rig: Rig, run: PairRun, signal: AbortSignal): Promise<readonly PairResult[]> {
  await using cleanUp = new AsyncDisposableStack();
  const backend = await startBackend(rig, cleanUp, signal);
  const running: RunningSubject[] = [];
  for (const subject of run.subjects) running.push(await subject.start({ rig, backend, shape: "pair", cleanUp }, signal));
  const idle = new Map(running.map(({ name, pids }) => [name, Math.max(...pids.map((pid) => readTreeUsage(pid).residentBytes)) / 2 ** 20]));
  for (const subject of running) await warmUp(rig, subject, { ...run, shape: "pair" }, signal);
  const results: PairResult[] = [];
  for (const connections of run.settings.concurrency) results.push(await runStep(rig, running, { ...run, idle, settings: { ...run.settings, connections } }, signal));
  return results;
}

interface PairStep extends PairRun {
  readonly idle: ReadonlyMap<string, number>;
}

async function runStep(rig: Rig, running: readonly RunningSubject[], run: PairStep, signal: AbortSignal): Promise<PairResult> {
  const { connections } = run.settings;
  const costs = await measureCosts(rig, running, { ...run, shape: `pair at ${connections}` }, signal);
  const subjects: PairSubjectResult[] = [];
  for (const { name, handshakes } of running) {
    subjects.push({ ...resultOf(name, costs), handshakes: (await handshakes?.()) ?? Number.NaN, idleMegabytes: run.idle.get(name) ?? Number.NaN });
  }
  return { shape: "pair", connections, subjects };
}

function resultOf(name: string, costs: ReadonlyMap<string, readonly CostSample[]>): Omit<PairSubjectResult, "handshakes" | "idleMegabytes"> {
  const samples = costs.get(name) ?? [];
  const base = costs.get(baseName);
  const cpuOf = (sample: CostSample): number => sample.cpuMicrosPerRequest;
  const p99Of = (sample: CostSample): number => sample.p99Micros;
  const ofProcess = (at: number): Summary => summarize(samples.map(({ processes }) => processes[at]?.cpuMicrosPerRequest ?? Number.NaN));
  return {
    subject: name,
    cpuMicrosPerRequest: summarize(samples.map(cpuOf)),
    callerMicrosPerRequest: ofProcess(0),
    calleeMicrosPerRequest: ofProcess(1),
    requestsPerSecond: summarize(samples.map((sample) => sample.requestsPerSecond)),
    p99Micros: summarize(samples.map(p99Of)),
    ...(base === undefined ? {} : { cpuRatio: pairedRatios(samples.map(cpuOf), base.map(cpuOf)), p99Ratio: pairedRatios(samples.map(p99Of), base.map(p99Of)) }),
    residentMegabytes: residentMegabytes(samples),
    errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
  };
}
