import { closeSync, fstatSync, openSync, readFileSync, type Stats } from "node:fs";

/** The text of a file of `bytesMax` at most. `check` sees what the very file is that is read, and may refuse it. @throws Error and the platform's errors */
export function readBoundedFileSync(path: string, bytesMax: number, check: (stats: Stats) => void = () => undefined): string {
  const file = openSync(path, "r");
  try {
    const stats = fstatSync(file);
    check(stats);
    if (stats.size > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}
