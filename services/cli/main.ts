import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { systemClock } from "#federation/runtime/clock.ts";
import { errorCatalog } from "#federation/runtime/error-catalog.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { installationDirectory, installedFile } from "#federation/runtime/installation.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { resolveDataDir, type CommandContext } from "./context.ts";
import { openKeyboard } from "./keyboard.ts";
import { createProgram, type GlobalFlags } from "./program.ts";
import { createTerminal, keepAlive } from "./terminal.ts";

const exitUsage = 2;
/** Both a terminal and a parent may pass on the same Ctrl-C; two within this time are one. */
const sameInterruptMs = 500;

const { version } = JSON.parse(readFileSync(installedFile("package.json"), "utf8")) as { version: string };

/** The first interrupt asks the command to stop; a second one, later, ends the process as it is. */
function watchInterrupts(): { readonly signal: AbortSignal; readonly interrupt: () => void } {
  const controller = new AbortController();
  let firstMs: number | undefined;
  const interrupt = (): void => {
    const nowMs = systemClock.monotonicMs();
    if (firstMs !== undefined && nowMs - firstMs > sameInterruptMs) process.exit(130);
    firstMs ??= nowMs;
    controller.abort(new Error("interrupted"));
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return { signal: controller.signal, interrupt };
}

function createContext(flags: GlobalFlags, interrupts: { readonly signal: AbortSignal; readonly interrupt: () => void }): CommandContext {
  const wantsColor = flags.color && (process.env["NO_COLOR"] ?? "") === "";
  const given = [flags.name === "demo" ? "" : `--name ${flags.name}`, flags.data === undefined ? "" : `--data ${flags.data}`, flags.context === undefined ? "" : `--context ${flags.context}`];
  const keyboard = openKeyboard(process.stdin, interrupts.interrupt);
  return {
    name: flags.name,
    dataDir: resolveDataDir(flags.name, flags.data, process.env),
    output: flags.output,
    terminal: createTerminal({ clock: systemClock, wantsColor, stdout: process.stdout, stderr: process.stderr }),
    home: installationDirectory,
    node: process.execPath,
    version,
    signal: interrupts.signal,
    flags: given.filter((flag) => flag !== "").join(" "),
    env: process.env,
    ...(flags.context === undefined ? {} : { contextFile: flags.context }),
    ...(keyboard === undefined ? {} : { keyboard }),
  };
}

/** What the operating system refused, in its words. */
function isPlatformError(error: unknown): error is NodeJS.ErrnoException & { readonly code: string } {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitUsage;
  if (isAbort(error)) {
    process.stderr.write("Interrupted.\n");
    return 130;
  }
  if (isPlatformError(error)) {
    process.stderr.write(`error ${error.code}: ${error.message.replace(`${error.code}: `, "")}\nWhat to do: see to the file, the disk or the port that is named here, and try again.\n`);
    return 1;
  }
  if (!(error instanceof AtollError)) {
    process.stderr.write(`error: ${error instanceof Error ? (error.stack ?? error.message) : describeError(error)}\n`);
    return 1;
  }
  process.stderr.write(`error ${error.code}: ${error.message}\nWhat to do: ${errorCatalog[error.code].action}\n`);
  const isUsage = error.code === "ATOLL_USAGE" || error.code === "ATOLL_NAME_INVALID" || error.code === "ATOLL_RESOURCE_INVALID";
  return isUsage ? exitUsage : 1;
}

// A reader that has seen enough (`atoll get … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
const interrupts = watchInterrupts();
const alive = keepAlive();
const program = createProgram({
  version,
  createContext: (flags) => createContext(flags, interrupts),
  setExitCode: (code) => (process.exitCode = code),
});
try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = report(error);
} finally {
  alive[Symbol.dispose]();
}
// What is printed goes out first; then a connection that somebody forgot keeps nobody waiting.
process.stdout.write("", () => process.stderr.write("", () => process.exit()));
