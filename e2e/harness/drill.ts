import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { CommandResult, Place } from "./test-federation.ts";

const reportSchema = z.object({
  drill: z.object({
    requests: z.number(),
    requestsPerSecond: z.number(),
    failed: z.number(),
    failedIdempotent: z.number(),
    failedIdempotentOutsideShift: z.number(),
    inFlightAtKill: z.number(),
    detectMs: z.number().nullable(),
    shiftMs: z.number().nullable(),
    recoverMs: z.number().nullable(),
    hostStallMsMax: z.number(),
  }),
  matrix: z.array(
    z.object({
      users: z.string(),
      phase: z.enum(["before", "during", "after"]),
      requests: z.number(),
      ok: z.number(),
      failedIdempotent: z.number(),
      servedBy: z.record(z.string(), z.number()),
      p50Ms: z.number().nullable(),
      p99Ms: z.number().nullable(),
    }),
  ),
});

/** A drill's report, as `--report` writes it. */
export type DrillReport = z.infer<typeof reportSchema>;

/** One run of the demo from nothing to the end. */
export interface DrillRun {
  readonly command: CommandResult;
  /** Undefined when the run did not come to one. */
  readonly report: DrillReport | undefined;
}

/** What every run has to reach, on whatever host. */
const aims = { inFlightMin: 50, atHomeRatioMin: 0.99 } as const;

/** What a shift may take; how quick a host is says only the series, never a test. */
export const shiftMsMax = { quiet: 1_000, busy: 2_000 } as const;

/** A host with a neighbour takes minutes for what a quiet one does in one. */
const demoWithinMs = 480_000;

/** Runs `atoll demo --once --report` on `place`, with real engines when asked for; `signal` ends it early, without a report. */
export async function runDemoOnce(place: Place, engines: boolean, signal?: AbortSignal): Promise<DrillRun> {
  const file = join(place.directory, "report.json");
  rmSync(file, { force: true });
  const command = await place.atollWithin({ timeout: demoWithinMs, ...(signal && { signal }) }, "demo", "--once", "--report", file, ...(engines ? ["--engines", "etcd,nats"] : []));
  return { command, report: readReport(file) };
}

function readReport(file: string): DrillReport | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  return reportSchema.parse(JSON.parse(text));
}

/** Every aim that the run missed, in words; empty when it passed. The time of the shift is an aim where `shiftMs` is given. */
export function missesOf({ drill, matrix }: DrillReport, shiftMs?: number): readonly string[] {
  const misses: string[] = [];
  if (drill.failedIdempotentOutsideShift > 0) misses.push(`${drill.failedIdempotentOutsideShift} repeatable requests failed outside the shift`);
  if (drill.inFlightAtKill < aims.inFlightMin) misses.push(`${drill.inFlightAtKill} in flight at the kill`);
  if (drill.shiftMs === null) misses.push("no shift");
  else if (shiftMs !== undefined && drill.shiftMs > shiftMs) misses.push(`shift after ${drill.shiftMs} ms`);
  if (drill.recoverMs === null) misses.push("the users did not come home");
  const before = matrix.filter(({ phase }) => phase === "before");
  if (before.length === 0) misses.push("no matrix");
  for (const row of before) {
    const ratio = row.ok === 0 ? 0 : (row.servedBy[row.users] ?? 0) / row.ok;
    if (ratio < aims.atHomeRatioMin) misses.push(`${row.users}: ${(ratio * 100).toFixed(1)} % served at home`);
  }
  return misses;
}

/** One line of a run's figures. */
export function figuresOf({ drill }: DrillReport): string {
  const ms = (value: number | null): string => (value === null ? "never" : `${value} ms`);
  return [
    `${drill.requests} requests`,
    `${drill.requestsPerSecond}/s`,
    `${drill.failed} failed (${drill.failedIdempotent} repeatable, ${drill.failedIdempotentOutsideShift} of them outside the shift)`,
    `${drill.inFlightAtKill} in flight`,
    `detect ${ms(drill.detectMs)}`,
    `shift ${ms(drill.shiftMs)}`,
    `recover ${ms(drill.recoverMs)}`,
    `stall ${drill.hostStallMsMax} ms`,
  ].join(", ");
}
