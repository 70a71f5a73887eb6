import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * What tells a process from a later one with the same pid: boot id and start time on Linux, `ps` start time
 * elsewhere. Undefined when there is no such process, or it has ended and only waits to be collected.
 * @see proc(5), /proc/[pid]/stat field 22
 */
export function processIdentity(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  return process.platform === "linux" ? linuxIdentity(pid) : psIdentity(pid);
}

/** True when `pid` is still the process that had `identity`. Only such a process may be signalled. */
export function isSameProcess(pid: number, identity: string): boolean {
  return processIdentity(pid) === identity;
}

/** Sends `signal` to a process, or to the group that it leads, if it is still the one that had `identity`; false when it is gone. */
export function signalProcess({ pid, identity, isGroup }: { readonly pid: number; readonly identity: string; readonly isGroup?: boolean }, signal: "SIGTERM" | "SIGKILL"): boolean {
  if (!isSameProcess(pid, identity)) return false;
  if (isGroup === true) return signalGroup(pid, signal);
  return signalAny(pid, signal);
}

/** Sends `signal` to every process of the group that `pid` leads or led; false when there is none left. */
export function signalGroup(pid: number | undefined, signal: "SIGTERM" | "SIGKILL"): boolean {
  // -1 would be every process of the user.
  return pid !== undefined && pid > 1 && signalAny(-pid, signal);
}

function signalAny(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Resident memory of `pid` in bytes, where /proc tells. */
export function residentBytes(pid: number): number | undefined {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return match?.[1] === undefined ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}

function linuxIdentity(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The command's name stands in parentheses and may hold anything, so fields are counted from the last ")".
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTime = fields[19];
  if (state === "Z" || state === "X" || startTime === undefined) return undefined;
  return `${bootId()}/${startTime}`;
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "boot";
  }
}

function psIdentity(pid: number): string | undefined {
  try {
    const line = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    return line === "" || line.startsWith("Z") ? undefined : line.replace(/^\S+\s+/, "");
  } catch {
    return undefined;
  }
}
