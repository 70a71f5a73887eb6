import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { TrailFile } from "./trail-file.ts";

describe("the position of a process's last write", () => {
  let directory: string;
  let path: string;
  let errors: string[];
  const open = (): TrailFile => TrailFile.open(path, { ...silentLogger, error: (message) => errors.push(message) });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-trail-"));
    path = join(directory, "trail");
    errors = [];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("is there for the next process, in a file of one length that only its owner reads", () => {
    expect(open().position).toEqual({ epoch: 0, revision: 0 });
    const { size } = statSync(path);
    for (const position of [{ epoch: Number.MAX_SAFE_INTEGER, revision: Number.MAX_SAFE_INTEGER }, { epoch: 7, revision: 12 }]) {
      open().set(position);
      expect(open().position).toEqual(position);
      expect(statSync(path).size).toBe(size);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(errors).toEqual([]);
  });

  it("is written once for writes that went together", () => {
    const trail = open();
    trail.set({ epoch: 7, revision: 12 });
    writeFileSync(path, "untouched");
    trail.set({ epoch: 7, revision: 12 });
    expect(readFileSync(path, "utf8")).toBe("untouched");
    trail.set({ epoch: 7, revision: 13 });
    expect(readFileSync(path, "utf8")).toMatch(/^7 13 /);
  });

  it("is written again where writing it had failed", () => {
    const trail = open();
    rmSync(path);
    trail.set({ epoch: 7, revision: 12 });
    writeFileSync(path, " ".repeat(34));
    trail.set({ epoch: 7, revision: 12 });
    expect(open().position).toEqual({ epoch: 7, revision: 12 });
  });

  it.each(["", "7", "7 12", "7 12\n8 13\n", "-1 3\n", "7 x\n"])("is that of no write where the file says %j", (content) => {
    writeFileSync(path, content);
    expect(open().position).toEqual({ epoch: 0, revision: 0 });
    expect(readFileSync(path, "utf8")).toMatch(/^0 0 *\n$/);
  });

  it("is remembered by the process when the file cannot be written, which is said once", () => {
    const trail = open();
    rmSync(directory, { recursive: true });
    for (const revision of [1, 2]) trail.set({ epoch: 1, revision });
    expect(trail.position).toEqual({ epoch: 1, revision: 2 });
    expect(errors).toHaveLength(1);
  });
});
