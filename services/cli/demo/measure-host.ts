import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { z } from "zod";
import type { CommandContext } from "../context.ts";
import type { HostMeasurement } from "./host-plan.ts";

/** The demonstration needs no more than this carries, so a large host is not measured whole. */
const probesMax = 8;
/** Four times what it takes where nothing is in its way. */
const probeWithinMs = 30_000;

const probeSchema = z.object({ rounds: z.number().positive(), cpuMicros: z.number().positive(), wallMs: z.number().positive() });

/** What one probe did in its second. */
export type ProbeResult = z.infer<typeof probeSchema>;

/** Runs the probe on every processor at once, for about two seconds. @throws {ATOLL_PROCESS_FAILED} */
export async function measureHost(context: CommandContext): Promise<HostMeasurement> {
  const count = Math.min(availableParallelism(), probesMax);
  return summarize(await Promise.all(Array.from({ length: count }, () => runProbe(context))));
}

/** Puts the probes' results together. Pure. */
export function summarize(results: readonly ProbeResult[]): HostMeasurement {
  const total = (of: (result: ProbeResult) => number): number => results.reduce((sum, result) => sum + of(result), 0);
  return {
    processors: results.length,
    // A process may use a little more than one processor's time, for its garbage.
    shareRatio: Math.min(1, total(({ cpuMicros }) => cpuMicros) / 1_000 / total(({ wallMs }) => wallMs)),
    roundMicros: total(({ cpuMicros }) => cpuMicros) / total(({ rounds }) => rounds),
  };
}

function runProbe({ node, home, env, signal }: CommandContext): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    execFile(node, [join(home, "services/demo/host-probe-main.ts")], { cwd: home, env: { ...env }, signal, timeout: probeWithinMs }, (error, stdout, stderr) => {
      if (error !== null) reject(signal.aborted ? error : new AtollError("ATOLL_PROCESS_FAILED", `the host could not be measured: ${stderr.trim() || error.message}`));
      else resolve(probeSchema.parse(JSON.parse(stdout)));
    });
  });
}
