import { cpus, loadavg, release, totalmem } from "node:os";
import type { PairResult } from "./run-pair.ts";
import type { ShapeResult, SubjectResult } from "./run-shape.ts";
import type { Summary } from "./statistics.ts";

/** The machine on which figures were taken: without it they mean nothing. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly kernel: string;
  readonly node: string;
  /** False when subject and load shared a core. */
  readonly pinned: boolean;
  /** Load average of the last minute before the run: what else kept the machine busy. */
  readonly loadBefore: number;
}

/** This machine. */
export function describeMachine(pinned: boolean): Machine {
  const all = cpus();
  return {
    processor: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    pinned,
    loadBefore: loadavg()[0] ?? 0,
  };
}

/** One shape as a table; a range in brackets is the smallest and the largest sample. */
export function renderShape(result: ShapeResult): string {
  const header = ["", "CPU µs/req", "vs haproxy", "req/s", "added p50 µs", "added p99 µs", "vs haproxy", "RSS MB", "errors"];
  const rows = result.subjects.map(rowOf);
  const title = `${result.shape}   (direct: p50 ${result.direct.p50Micros.median.toFixed(0)} µs, p99 ${result.direct.p99Micros.median.toFixed(0)} µs)`;
  return [title, ...align([header, ...rows])].join("\n");
}

/** One concurrency of a pair as a table. */
export function renderPair(result: PairResult): string {
  const header = ["", "CPU µs/req", "caller", "callee", "vs haproxy", "req/s", "p99 µs", "vs haproxy", "handshakes", "idle MB", "RSS MB", "errors"];
  const rows = result.subjects.map((subject) => [
    subject.subject,
    range(subject.cpuMicrosPerRequest, 1),
    subject.callerMicrosPerRequest.median.toFixed(1),
    subject.calleeMicrosPerRequest.median.toFixed(1),
    range(subject.cpuRatio, 2),
    subject.requestsPerSecond.median.toFixed(0),
    range(subject.p99Micros, 0),
    range(subject.p99Ratio, 2),
    String(subject.handshakes),
    subject.idleMegabytes.toFixed(0),
    subject.residentMegabytes.toFixed(0),
    String(subject.errors),
  ]);
  return [`pair, ${result.connections} concurrent`, ...align([header, ...rows])].join("\n");
}

function rowOf(result: SubjectResult): readonly string[] {
  return [
    result.subject,
    range(result.cpuMicrosPerRequest, 1),
    range(result.cpuRatio, 2),
    result.requestsPerSecond.median.toFixed(0),
    range(result.addedP50Micros, 0),
    range(result.addedP99Micros, 0),
    result.addedP99Ratio?.toFixed(2) ?? "noise",
    result.residentMegabytes.toFixed(0),
    String(result.errors),
  ];
}

function range(summary: Summary | undefined, digits: number): string {
  if (summary === undefined) return "-";
  return `${summary.median.toFixed(digits)} [${summary.min.toFixed(digits)}..${summary.max.toFixed(digits)}]`;
}

function align(rows: readonly (readonly string[])[]): readonly string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
}
