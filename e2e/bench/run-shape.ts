import { measureCost, measureLatency } from "./measure.ts";
import type { BenchSettings, CostSample } from "./measure.ts";
import type { OpenLoopResult } from "./open-loop.ts";
import type { Rig } from "./rig.ts";
import type { SoloShape } from "./shape.ts";
import { median, pairedRatios, roundOrder, summarize } from "./statistics.ts";
import type { Summary } from "./statistics.ts";
import type { RunningSubject, Subject } from "./subject.ts";
import { benchIdentity, startBackend, startOriginator } from "./surroundings.ts";

/** The peer that ratios are taken against. */
export const baseName = "haproxy";

/** What one subject showed in one shape. */
export interface SubjectResult {
  readonly subject: string;
  readonly cpuMicrosPerRequest: Summary;
  readonly requestsPerSecond: Summary;
  readonly residentMegabytes: number;
  readonly errors: number;
  /** Over the same path without the subject; µs. */
  readonly addedP50Micros: Summary;
  readonly addedP99Micros: Summary;
  /** Against HAProxy, sample by sample. */
  readonly cpuRatio?: Summary;
  /** Median against median; absent when HAProxy's own addition drowned in the noise of the direct path. */
  readonly addedP99Ratio?: number;
}

/** One shape's results. */
export interface ShapeResult {
  readonly shape: SoloShape;
  readonly direct: { readonly p50Micros: Summary; readonly p99Micros: Summary };
  readonly subjects: readonly SubjectResult[];
}

/** What a round takes besides the rig. */
export interface ShapeRun {
  readonly shape: SoloShape;
  readonly subjects: readonly Subject[];
  readonly settings: BenchSettings;
  readonly onProgress: (sentence: string) => void;
}

/** Starts every subject side by side in one shape and measures them in turn, forward and back in each round. */
export async function runShape(rig: Rig, run: ShapeRun, signal: AbortSignal): Promise<ShapeResult> {
  await using cleanUp = new AsyncDisposableStack();
  const backend = await startBackend(rig, cleanUp, signal);
  const running: RunningSubject[] = [];
  for (const subject of run.subjects) running.push(await subject.start({ rig, backend, shape: run.shape, cleanUp }, signal));
  const directPort = run.shape === "mtls-in" ? await startOriginator(rig, { name: "originator-direct", targetPort: backend.tlsPort, identity: benchIdentity(rig.certificates) }, cleanUp, signal) : backend.plainPort;
  for (const subject of running) await warmUp(rig, subject, run, signal);
  const costs = await measureCosts(rig, running, run, signal);
  const latencies = await measureLatencies(rig, running, directPort, run, signal);
  const direct = latencies.get(directName) ?? [];
  return {
    shape: run.shape,
    direct: { p50Micros: summarize(direct.map((sample) => sample.p50Micros)), p99Micros: summarize(direct.map((sample) => sample.p99Micros)) },
    subjects: running.map((subject) => resultOf(subject.name, { costs, latencies, direct })),
  };
}

const directName = "direct";

/** What the cost of running subjects is measured with. */
export interface CostRun {
  /** Before each line of progress. */
  readonly shape: string;
  readonly settings: BenchSettings;
  readonly onProgress: (sentence: string) => void;
}

/** Connections, compiled code and caches are part of steady state; a just-in-time compiler wants a few seconds of load. */
export async function warmUp(rig: Rig, subject: RunningSubject, run: CostRun, signal: AbortSignal): Promise<void> {
  run.onProgress(`${run.shape}: warming up ${subject.name}`);
  const sample = await measureCost(rig, subject, { ...run.settings, closedLoopSeconds: run.settings.quick ? 1 : 3 }, signal);
  if (sample.errors > 0) throw new Error(`${subject.name} answered ${sample.errors} requests wrongly in shape ${run.shape}; its log is in ${rig.directory}`);
}

/** Cost samples of each subject by its name, in the order in which they were taken. */
export async function measureCosts(rig: Rig, running: readonly RunningSubject[], run: CostRun, signal: AbortSignal): Promise<ReadonlyMap<string, readonly CostSample[]>> {
  const samples = new Map<string, CostSample[]>(running.map((subject) => [subject.name, []]));
  for (let round = 0; round < run.settings.rounds; round++) {
    run.onProgress(`${run.shape}: cost, round ${round + 1} of ${run.settings.rounds}`);
    for (const name of roundOrder(running.map((subject) => subject.name))) {
      const subject = running.find((candidate) => candidate.name === name);
      if (subject !== undefined) samples.get(name)?.push(await measureCost(rig, subject, run.settings, signal));
    }
  }
  return samples;
}

async function measureLatencies(
  rig: Rig,
  running: readonly RunningSubject[],
  directPort: number,
  run: ShapeRun,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly OpenLoopResult[]>> {
  const ports = new Map([[directName, directPort], ...running.map((subject): [string, number] => [subject.name, subject.loadPort])]);
  const samples = new Map<string, OpenLoopResult[]>([...ports.keys()].map((name) => [name, []]));
  for (let round = 0; round < run.settings.rounds; round++) {
    run.onProgress(`${run.shape}: latency, round ${round + 1} of ${run.settings.rounds}`);
    for (const name of roundOrder([...ports.keys()])) {
      samples.get(name)?.push(await measureLatency(rig, ports.get(name) ?? directPort, run.settings, signal));
    }
  }
  return samples;
}

interface Samples {
  readonly costs: ReadonlyMap<string, readonly CostSample[]>;
  readonly latencies: ReadonlyMap<string, readonly OpenLoopResult[]>;
  readonly direct: readonly OpenLoopResult[];
}

function resultOf(name: string, samples: Samples): SubjectResult {
  const costs = samples.costs.get(name) ?? [];
  const cpu = costs.map((sample) => sample.cpuMicrosPerRequest);
  const baseCpu = samples.costs.get(baseName)?.map((sample) => sample.cpuMicrosPerRequest);
  const added99 = addedMicros(samples, name, (sample) => sample.p99Micros);
  const added99Summary = summarize(added99);
  const base99 = baseCpu === undefined ? Number.NaN : median(addedMicros(samples, baseName, (sample) => sample.p99Micros));
  const latencyErrors = (samples.latencies.get(name) ?? []).map((sample) => sample.errors);
  return {
    subject: name,
    cpuMicrosPerRequest: summarize(cpu),
    requestsPerSecond: summarize(costs.map((sample) => sample.requestsPerSecond)),
    residentMegabytes: residentMegabytes(costs),
    errors: [...costs.map((sample) => sample.errors), ...latencyErrors].reduce((left, right) => left + right, 0),
    addedP50Micros: summarize(addedMicros(samples, name, (sample) => sample.p50Micros)),
    addedP99Micros: added99Summary,
    ...(baseCpu === undefined ? {} : { cpuRatio: pairedRatios(cpu, baseCpu) }),
    ...(base99 > 0 && added99Summary.median > 0 ? { addedP99Ratio: added99Summary.median / base99 } : {}),
  };
}

/** The most that any one process of the subject held. */
export function residentMegabytes(samples: readonly CostSample[]): number {
  return Math.max(...samples.flatMap(({ processes }) => processes.map(({ residentBytes }) => residentBytes))) / 2 ** 20;
}

/** A quantile above the direct path's of the same half round. */
function addedMicros(samples: Samples, name: string, quantile: (sample: OpenLoopResult) => number): readonly number[] {
  return (samples.latencies.get(name) ?? []).map((sample, at) => {
    const direct = samples.direct[at];
    return direct === undefined ? Number.NaN : quantile(sample) - quantile(direct);
  });
}
