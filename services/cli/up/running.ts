import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { ProcessTrace } from "./managed-process.ts";
import { isSameProcess, signalProcess } from "./process-identity.ts";
import { openSupervisorClient, type SupervisorClient } from "./supervisor-client.ts";
import { processesFileName, supervisorSocketName, type ProcessesFile } from "./supervisor.ts";

const pollMs = 50;
const termGraceMs = 5_000;

/** The supervisor's client, or undefined when none serves `dataDir`. */
export async function findSupervisor(dataDir: string, clock: Clock): Promise<SupervisorClient | undefined> {
  try {
    return await openSupervisorClient(dataDir, clock);
  } catch (error) {
    if (isAtollError(error, "ATOLL_CONTROL_UNAVAILABLE")) return undefined;
    throw error;
  }
}

/** Processes that still live, whether or not a supervisor does. A pid that now belongs to another process is not among them. */
export function livingProcesses(dataDir: string): readonly ProcessTrace[] {
  const file = readProcesses(dataDir);
  if (file === undefined) return [];
  const all: readonly ProcessTrace[] = [...file.processes, { name: "supervisor", ...file.supervisor }];
  return all.filter(({ pid, identity }) => isSameProcess(pid, identity));
}

/** How `down` went. */
export interface DownResult {
  readonly ended: number;
  /** The supervisor was gone and its processes were ended one by one. */
  readonly wasOrphaned: boolean;
}

/**
 * Ends every process of the federation in `dataDir`: in order through its supervisor, and, when that is gone, each
 * process that can be proved to be ours. Resolves when none is left.
 */
export async function endFederation(dataDir: string, clock: Clock, signal: AbortSignal): Promise<DownResult> {
  const before = livingProcesses(dataDir);
  const supervisor = await findSupervisor(dataDir, clock);
  if (supervisor !== undefined) {
    await using client = supervisor;
    try {
      await client.stopAll(signal);
    } catch (error) {
      // It ends right after its answer, so the connection may close first.
      if (!isAtollError(error, "ATOLL_CONTROL_UNAVAILABLE")) throw error;
    }
  }
  await endAll(dataDir, clock, signal);
  for (const name of [processesFileName, supervisorSocketName, "bus.sock"]) rmSync(join(dataDir, name), { force: true });
  return { ended: before.length, wasOrphaned: supervisor === undefined && before.length > 0 };
}

async function endAll(dataDir: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const startMs = clock.monotonicMs();
  // The supervisor first: it would start again what we end.
  const living = (): readonly ProcessTrace[] => [...livingProcesses(dataDir)].sort((a, b) => Number(b.name === "supervisor") - Number(a.name === "supervisor"));
  for (const one of living()) signalProcess(one, one.name === "supervisor" ? "SIGKILL" : "SIGTERM");
  for (;;) {
    const left = living();
    if (left.length === 0) return;
    if (clock.monotonicMs() - startMs > termGraceMs) for (const one of left) signalProcess(one, "SIGKILL");
    await sleep(clock, pollMs, signal);
  }
}

function readProcesses(dataDir: string): ProcessesFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, processesFileName), "utf8")) as ProcessesFile;
  } catch {
    return undefined;
  }
}
