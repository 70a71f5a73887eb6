import { readdirSync, readFileSync } from "node:fs";
import { logTail } from "./managed-process.ts";

/** From so many of its open files on a process is about to be able to open none: it can take no connection then, and not say so. */
const openFilesRatioMax = 0.9;

/**
 * What the kernel knows of a living process that keeps it from answering, and what to do, each in words that follow its name; nothing where /proc
 * does not tell.
 * @see proc(5), /proc/[pid]/stat field 3, /proc/[pid]/limits
 */
export function processTroubles(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name stands in parentheses and may hold anything.
    const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
    const openFiles = readdirSync(`/proc/${pid}/fd`).length;
    const max = Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "latin1"))?.[1] ?? Number.POSITIVE_INFINITY);
    return [
      ...(state === "T" || state === "t" ? [`has been stopped by a signal, and does nothing until \`kill -CONT ${pid}\``] : []),
      ...(openFiles >= openFilesRatioMax * max ? [`has ${openFiles} of ${max} files and sockets open and can open no more: raise its limit (\`prlimit --pid ${pid} --nofile=N\`, and \`ulimit -n\` where it is started from)`] : []),
    ];
  } catch {
    return [];
  }
}

/** Among so many lines at the end of a log the last words of the process that ended are looked for. */
const lastLinesMax = 40;
const lastWordsMax = 400;

/** The error that ended a process, as the last one wrote it into its log; undefined where that says none. */
export function lastWords(logFile: string): string | undefined {
  return logTail(logFile, lastLinesMax).findLast((line) => /^ATOLL_[A-Z_]+: /.test(line))?.slice(0, lastWordsMax);
}
