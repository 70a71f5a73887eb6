import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { saidError } from "../programs/said-error.ts";
import { planeName } from "../up/planned-process.ts";
import type { ProcessSpec } from "../up/process-spec.ts";
import { findSupervisor } from "../up/running.ts";
import type { Topology } from "../up/topology.ts";
import { startProgress } from "../terminal.ts";
import { withFederation } from "./federation.ts";

export interface RestoreOptions {
  readonly from: string;
  readonly passphraseFile?: string;
  readonly keyFile?: string;
}

/** What a plane's program says that it has restored. */
interface Restored {
  readonly madeAtMs: number;
  readonly entries: number;
  readonly aside?: string;
}

const readyWithinMs = 60_000;
/** A large store over a slow disk. */
const restoreWithinMs = 10 * 60_000;
const outputBytesMax = 16 * 1024 * 1024;

/**
 * `atoll restore PLANE`: stops a plane of this machine, fills its store from a backup, and starts it again, over a store about which
 * somebody has to decide. A backup that is no good stops nothing. @throws {ATOLL_BACKUP_INVALID | ATOLL_KEY_FILE_INVALID | ATOLL_RESTORE_REFUSED | ATOLL_USAGE}
 */
export async function runRestore(context: CommandContext, plane: string, { from, passphraseFile, keyFile }: RestoreOptions): Promise<number> {
  const { terminal, signal } = context;
  const spec = await withFederation(context, async ({ planes, topology }) => {
    if (topology === undefined) throw new AtollError("ATOLL_USAGE", "a store is restored on its plane's machine: stop the plane there, run its program with `restore --config FILE --from FILE`, and start it again (docs/restore.md)");
    if (plane !== "global" && !planes.clusters.includes(plane)) throw new AtollError("ATOLL_USAGE", `there is no plane ${plane}; there are global, ${planes.clusters.join(", ")}`);
    return specOf(topology, plane);
  });
  const args = ["--from", resolve(from), ...(passphraseFile === undefined ? [] : ["--passphrase-file", resolve(passphraseFile)]), ...(keyFile === undefined ? [] : ["--key-file", resolve(keyFile)])];
  await runProgram(context, spec, [...args, "--check"]);
  const supervisor = await findSupervisor(context.dataDir, terminal.clock);
  const progress = startProgress(terminal);
  try {
    const wasRunning = (await supervisor?.list(signal))?.some(({ name, state }) => name === spec.name && (state === "running" || state === "starting" || state === "backoff")) === true;
    progress.step(`stopping the plane of ${plane}`);
    if (wasRunning) await supervisor?.stop({ names: [spec.name] }, signal);
    let restored: Restored;
    try {
      progress.step(`filling the store of ${plane}`);
      restored = await runProgram(context, spec, args);
    } finally {
      progress.step(`starting the plane of ${plane}`);
      if (wasRunning) await supervisor?.start({ names: [spec.name] }, signal);
    }
    if (wasRunning) await supervisor?.waitReady([spec.name], readyWithinMs, signal);
    progress.done();
    if (printData(context, { plane, ...restored, started: wasRunning })) return 0;
    terminal.print(`The store of ${plane} holds what it held on ${new Date(restored.madeAtMs).toISOString()}: ${restored.entries} entries.`);
    if (restored.aside !== undefined) terminal.print(`What it held until now is in ${restored.aside}.`);
    terminal.print(`Nothing is written or published from it until you decide: \`atoll${context.flags === "" ? "" : ` ${context.flags}`} reconcile ${plane}\`${wasRunning ? "" : ", once the plane runs"}.`);
    return 0;
  } finally {
    progress.done();
    await supervisor?.[Symbol.asyncDispose]();
  }
}

function specOf({ processes }: Topology, plane: string): ProcessSpec {
  const name = plane === "global" ? plane : planeName(plane);
  const found = processes.find(({ spec }) => spec.name === name);
  if (found === undefined) throw new AtollError("ATOLL_USAGE", `no process of ${plane} is laid out here`);
  return found.spec;
}

/** Runs a plane's program with `restore` in the place of `run`. @throws what the program says is wrong, by its code. */
async function runProgram(context: CommandContext, spec: ProcessSpec, args: readonly string[]): Promise<Restored> {
  const programArgs = [...spec.args.map((arg) => (arg === "run" ? "restore" : arg)), ...args];
  const { stdout, stderr } = await new Promise<{ readonly stdout: string; readonly stderr: string }>((settle) => {
    const options = { cwd: spec.cwd, env: { ...context.env, ...spec.env }, signal: context.signal, timeout: restoreWithinMs, maxBuffer: outputBytesMax };
    execFile(spec.command, programArgs, options, (_error, out, err) => settle({ stdout: out, stderr: err }));
  });
  const line = stdout.split("\n").find((one) => one.startsWith("restored "));
  if (line !== undefined) return JSON.parse(line.slice("restored ".length)) as Restored;
  throw saidError(stderr);
}
