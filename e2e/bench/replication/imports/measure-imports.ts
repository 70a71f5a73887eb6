import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fillImports } from "./fill-imports.ts";

/** A cluster's plane that starts over what it holds of others. */
export interface ImportsResult {
  readonly imports: number;
  /** From the start of the process until all are in the plane's state, and until a proxy that asks for all has been told of them, s. */
  readonly readSeconds: number;
  readonly toldSeconds: number;
  /** The longest time for which the event loop stood still, ms. */
  readonly pauseMs: number;
  /** What a process with one more import holds more of JavaScript's memory and of buffers, and what it has more of the machine's. */
  readonly heldBytes: number;
  readonly residentBytes: number;
  readonly storeBytes: number;
}

interface Started {
  readonly readMs: number;
  readonly toldMs: number;
  readonly pauseMs: number;
  readonly heldBytes: number;
  readonly residentBytes: number;
}

const program = join(import.meta.dirname, "start-main.ts");

/** Starts a plane over `imports` imports, and one over none beside it. */
export async function measureImports(imports: number, signal: AbortSignal): Promise<ImportsResult> {
  const directory = mkdtempSync(join(tmpdir(), "atoll-imports-"));
  try {
    const [empty, full] = [join(directory, "empty.sqlite"), join(directory, "full.sqlite")];
    await fillImports(full, imports, signal);
    const before = await startPlane(empty, 0, signal);
    const { readMs, toldMs, pauseMs, heldBytes, residentBytes } = await startPlane(full, imports, signal);
    return {
      imports,
      readSeconds: readMs / 1_000,
      toldSeconds: toldMs / 1_000,
      pauseMs,
      heldBytes: (heldBytes - before.heldBytes) / imports,
      residentBytes: (residentBytes - before.residentBytes) / imports,
      storeBytes: statSync(full).size / imports,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Starts a plane in a process of its own, over a store that must hold as many imports. */
export async function startPlane(path: string, imports: number, signal: AbortSignal): Promise<Started> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program, path, String(imports)], { signal });
  return JSON.parse(stdout) as Started;
}
