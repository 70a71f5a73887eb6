import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { isExecutable } from "#services/cli/engines/executable.ts";

const run = promisify(execFile);

/** What runs where: the system under test has a core of its own, so that nobody's cost is another's delay. */
export type Role = "load" | "subject" | "anywhere";

const coreOf = { load: "0", subject: "1" } as const;

/** Which core each role has. */
export interface Pins {
  /** False on a machine with one core or without taskset; then the figures say little. */
  readonly pins: boolean;
  /** The command line that runs `program` on the core of `role`. */
  pinned(role: Role, program: string, args: readonly string[]): readonly string[];
  /** Moves a running process with all its threads to the core of `role`. */
  move(role: Role, pid: number): Promise<void>;
}

/** This machine's, by the taskset(1) on PATH. */
export function findPins(environment: Readonly<Record<string, string | undefined>>): Pins {
  const taskset = (environment["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "taskset")).find(isExecutable);
  if (taskset === undefined || availableParallelism() === 1) return { pins: false, pinned: (_role, program, args) => [program, ...args], move: () => Promise.resolve() };
  return {
    pins: true,
    pinned: (role, program, args) => (role === "anywhere" ? [program, ...args] : [taskset, "-c", coreOf[role], program, ...args]),
    async move(role, pid) {
      if (role !== "anywhere") await run(taskset, ["-a", "-p", "-c", coreOf[role], String(pid)]);
    },
  };
}
