import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { isLabel } from "#federation/model/names.ts";
import type { Terminal } from "./terminal.ts";

export type OutputFormat = "table" | "json" | "yaml";

/** What every command gets: the federation it is about, where output goes, and when to stop. */
export interface CommandContext {
  readonly name: string;
  readonly dataDir: string;
  /** `--context`: the planes of a federation elsewhere, instead of the one in `dataDir`. */
  readonly contextFile?: string;
  readonly output: OutputFormat;
  readonly terminal: Terminal;
  readonly home: string;
  readonly node: string;
  readonly version: string;
  readonly signal: AbortSignal;
  /** `--name` and `--data` as they were given, for commands that messages suggest. */
  readonly flags: string;
  /** Single keys, where a person sits at one; absent elsewhere. */
  readonly keyboard?: Keyboard;
  /** What child processes get. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Keys pressed one by one. */
export interface Keyboard {
  /** Calls `listener` with each key until disposed. */
  onKey(listener: (key: string) => void): Disposable;
}

export const defaultFederationName = "demo";

/**
 * The directory of the federation `name`: `data` when given, else below XDG_STATE_HOME or ~/.local/state.
 * @throws {ATOLL_USAGE} when the name is not a label.
 */
export function resolveDataDir(name: string, data: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  if (!isLabel(name)) throw new AtollError("ATOLL_USAGE", `--name ${JSON.stringify(name)}: expected 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit`);
  if (data !== undefined) return resolve(data);
  const state = env["XDG_STATE_HOME"];
  return join(state !== undefined && state !== "" ? state : join(homedir(), ".local", "state"), "atoll", name);
}
