import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { diskBytesMin, LossyDisk } from "./lossy-disk.ts";

let scratch: string;
beforeEach(() => void (scratch = mkdtempSync(join(tmpdir(), "atoll-test-"))));
afterEach(() => rmSync(scratch, { recursive: true }));

it.skipIf(!LossyDisk.isPossible())("a disk that loses its power keeps what was there and what was synced since, and nothing else", () => {
  const directory = mkdtempSync(join(scratch, "lossy-"));
  writeFileSync(join(directory, "before"), "there");
  const disk = LossyDisk.replace(directory, join(scratch, "image"), diskBytesMin);
  try {
    writeSynced(join(directory, "synced"), "there");
    writeFileSync(join(directory, "before"), "changed");
    writeFileSync(join(directory, "written"), "gone");
    disk.losePower()();
    expect(readFileSync(join(directory, "synced"), "utf8")).toBe("there");
    expect(readFileSync(join(directory, "before"), "utf8")).not.toBe("changed");
    expect(existsSync(join(directory, "written"))).toBe(false);
  } finally {
    disk.remove();
  }
});

function writeSynced(path: string, text: string): void {
  const file = openSync(path, "w");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
