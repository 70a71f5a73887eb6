import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Environment } from "../planes.ts";

/** What a unit's program is asked for, as its last argument: words of init scripts. */
export type UnitAction = "start" | "status" | "stop";

/** A unit as its state describes it. */
export interface Unit {
  readonly name: string;
  readonly program: readonly string[];
  /** All of its variables. */
  readonly environment: Environment;
  readonly timeoutMs: number;
}

/** The attribute that says what was run: what fails stands there in a configuration. */
const atProgram = { attribute: "program" } as const;
/** How much of its complaints is told. */
const complaintMax = 4_000;
/**
 * The exit codes of `status`: 0 is running, 3 is not running.
 * @see https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/iniscrptact.html
 */
const notRunning = 3;

/**
 * Runs a unit's program to its end; of `status`, true means that it runs.
 * @throws {ATOLL_PROCESS_FAILED} with what it complained of, when it fails, does not end in time, or cannot be run.
 */
export async function runUnit({ name, program, environment, timeoutMs }: Unit, action: UnitAction, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const [command = "", ...args] = program;
  // A file and not a pipe: what the program leaves running may hold its output open.
  const directory = mkdtempSync(join(tmpdir(), "atoll-unit-"));
  const complaints = join(directory, "stderr");
  const fd = openSync(complaints, "a");
  using bounded = deadlineSignal(clock, timeoutMs, signal);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      // In a group of its own, so that what it is waiting for ends with it when it is given up.
      const child = spawn(command, [...args, action], { env: { ...environment }, stdio: ["ignore", "ignore", fd], detached: true });
      const giveUp = (): void => endGroup(child.pid);
      if (bounded.signal.aborted) giveUp();
      bounded.signal.addEventListener("abort", giveUp, { once: true });
      child.once("error", (cause) => reject(new AtollError("ATOLL_PROCESS_FAILED", `${name}: ${command} cannot be run`, { cause, details: atProgram })));
      child.once("exit", resolve);
    });
    if (code === 0) return true;
    if (action === "status" && code === notRunning) return false;
    const how = code !== null ? `ended with ${code}` : signal.aborted ? "was stopped" : `did not end within ${timeoutMs / 1_000} s`;
    throw new AtollError("ATOLL_PROCESS_FAILED", [`${name}: ${action} ${how}`, readFileSync(complaints, "utf8").slice(-complaintMax).trim()].filter((text) => text !== "").join("\n"), { details: atProgram });
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true, force: true });
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
