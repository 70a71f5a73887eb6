import { readdirSync, readFileSync } from "node:fs";

/** Linux counts CPU time for user space in hundredths of a second on every architecture (USER_HZ, proc_pid_stat(5)). */
const microsPerTick = 10_000;

/** What a process and its descendants have used. */
export interface ProcessUsage {
  /** utime + stime of every living process of the tree, and of its children that have been waited for. */
  readonly cpuMicros: number;
  readonly residentBytes: number;
}

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly cpuTicks: number;
  readonly residentPages: number;
}

/** Reads /proc for the tree below `root`. */
export function readTreeUsage(root: number): ProcessUsage {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(readStat)
    .filter((stat) => stat !== undefined);
  const tree = new Set([root]);
  // A child may stand before its parent in the listing, so look until nothing is added.
  for (let before = -1; before !== tree.size; ) {
    before = tree.size;
    for (const stat of all) if (tree.has(stat.parent)) tree.add(stat.pid);
  }
  let cpuTicks = 0;
  let residentPages = 0;
  for (const stat of all) {
    if (!tree.has(stat.pid)) continue;
    cpuTicks += stat.cpuTicks;
    residentPages += stat.residentPages;
  }
  return { cpuMicros: cpuTicks * microsPerTick, residentBytes: residentPages * 4096 };
}

function readStat(pid: string): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    // It ended between the listing and the reading.
    return undefined;
  }
}

/** Reads a line of /proc/PID/stat. The name is in parentheses and may itself hold spaces and parentheses. */
export function parseStat(line: string): ProcessStat | undefined {
  const end = line.lastIndexOf(")");
  const fields = line.slice(end + 2).split(" ").map(Number);
  const pid = Number.parseInt(line, 10);
  // Positions count from the state, which is field 3 of proc_pid_stat(5).
  const [parent, utime, stime, childUtime, childStime, residentPages] = [1, 11, 12, 13, 14, 21].map((position) => fields[position]);
  if (end === -1 || parent === undefined || residentPages === undefined) return undefined;
  return { pid, parent, cpuTicks: (utime ?? 0) + (stime ?? 0) + (childUtime ?? 0) + (childStime ?? 0), residentPages };
}
