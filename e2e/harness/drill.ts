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

/** Above this the host itself was away for so long that its times say nothing: the run is printed and repeated. */
export const hostStallMsMax = 200;

/** What a run has to reach. */
const aims = { requestsPerSecondMin: 500, inFlightMin: 50, shiftMsMax: 1_000, atHomeRatioMin: 0.99 } as const;

/** Runs `atoll demo --once --report` on `place`, with real engines when asked for. */
export async function runDemoOnce(place: Place, engines: boolean): Promise<DrillRun> {
  const file = join(place.directory, "report.json");
  rmSync(file, { force: true });
  const command = await place.atoll("demo", "--once", "--report", file, ...(engines ? ["--engines", "etcd,nats"] : []));
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

/** Every aim that the run missed, in words; empty when it passed. */
export function missesOf({ drill, matrix }: DrillReport): readonly string[] {
  const misses: string[] = [];
  if (drill.failedIdempotent > 0) misses.push(`${drill.failedIdempotent} repeatable requests failed`);
  if (drill.requestsPerSecond < aims.requestsPerSecondMin) misses.push(`${drill.requestsPerSecond} requests/s`);
  if (drill.inFlightAtKill < aims.inFlightMin) misses.push(`${drill.inFlightAtKill} in flight at the kill`);
  if (drill.shiftMs === null || drill.shiftMs > aims.shiftMsMax) misses.push(drill.shiftMs === null ? "no shift" : `shift after ${drill.shiftMs} ms`);
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
    `${drill.failed} failed (${drill.failedIdempotent} repeatable)`,
    `${drill.inFlightAtKill} in flight`,
    `detect ${ms(drill.detectMs)}`,
    `shift ${ms(drill.shiftMs)}`,
    `recover ${ms(drill.recoverMs)}`,
    `stall ${drill.hostStallMsMax} ms`,
  ].join(", ");
}
