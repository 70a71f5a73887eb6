import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { isSameProcess, processIdentity } from "./process-identity.ts";

const lockFileName = "up.lock";

interface Holder {
  readonly pid: number;
  readonly identity: string;
}

/**
 * One `atoll up` at a time makes of a data directory what it should be: two would each start a supervisor, and the processes of the one whose
 * files are overwritten would be nobody's. The lock of a process that is gone is taken over.
 * @throws {ATOLL_FEDERATION_RUNNING} when another one is at it
 */
export function takeUpLock(dataDir: string): Disposable {
  const path = join(dataDir, lockFileName);
  const own = `${path}.${process.pid}`;
  const text = JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) ?? "" });
  writeFileSync(own, text, { mode: 0o600 });
  try {
    while (!linked(own, path)) {
      const found = read(path);
      const holder = found === undefined ? undefined : parseHolder(found);
      if (holder !== undefined && isSameProcess(holder.pid, holder.identity)) throw busy(holder);
      removeIf(path, found);
    }
  } finally {
    rmSync(own, { force: true });
  }
  return {
    [Symbol.dispose]() {
      removeIf(path, text);
    },
  };
}

function busy({ pid }: Holder): AtollError {
  return new AtollError("ATOLL_FEDERATION_RUNNING", `another \`atoll up\` (pid ${pid}) is at work on this federation: wait for it, or interrupt it`);
}

/** Makes `path` another name of `source`, unless it is there. */
function linked(source: string, path: string): boolean {
  try {
    linkSync(source, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Removes `path` if it holds `text`: somebody else may have taken it over meanwhile, whose it stays. */
function removeIf(path: string, text: string | undefined): void {
  const aside = `${path}.${process.pid}.aside`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (read(aside) !== text) linked(aside, path);
  rmSync(aside, { force: true });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Undefined for what is damaged, as by a machine that lost its power: nobody's. */
function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, identity } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === "number" && typeof identity === "string" ? { pid, identity } : undefined;
  } catch {
    return undefined;
  }
}
