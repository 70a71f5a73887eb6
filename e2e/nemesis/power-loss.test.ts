import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SqliteEngine } from "#federation/store/sqlite-engine.ts";
import { openEngineFile, writeBackup } from "#federation/store/sqlite-files.ts";
import { diskBytesMin, LossyDisk } from "./faults/lossy-disk.ts";

const never = new AbortController().signal;

describe.skipIf(!LossyDisk.isPossible())("what a store has acknowledged is there when the power has gone and come back", () => {
  let scratch: string;
  let path: string;
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), "atoll-power-"));
    path = join(scratch, "store", "store.sqlite");
    mkdirSync(join(scratch, "store"));
  });
  afterEach(() => rmSync(scratch, { recursive: true }));

  /** Opens the store on a disk that loses its power as soon as a write has been acknowledged. */
  function expectKept(keys: readonly string[], { origin }: { readonly origin: string }): void {
    const disk = LossyDisk.replace(join(scratch, "store"), join(scratch, "image"), diskBytesMin);
    try {
      const opened = openEngineFile(path, 2);
      expect(opened.origin).toBe(origin);
      put(opened.engine, "since");
      const lose = disk.losePower();
      opened.engine[Symbol.dispose]();
      lose();
      const found = openEngineFile(path, 3);
      using engine = found.engine;
      expect([found.origin, [...keys, "since"].filter((key) => !has(engine, key))]).toEqual(["file", []]);
    } finally {
      disk.remove();
    }
  }

  it("in a new file", () => expectKept([], { origin: "new" }));

  it("in one that has been there", () => {
    using engine = openEngineFile(path, 1).engine;
    put(engine, "before");
    engine[Symbol.dispose]();
    expectKept(["before"], { origin: "file" });
  });

  it("in one that had to begin from its backup", async () => {
    using engine = openEngineFile(path, 1).engine;
    put(engine, "before");
    await writeBackup(engine, path, never);
    engine[Symbol.dispose]();
    writeFileSync(path, "this was a database once".repeat(200));
    expectKept(["before"], { origin: "backup" });
  });
});

function put(engine: SqliteEngine, key: string): void {
  const [reply] = engine.run([{ kind: "commit", conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(1), leaseId: undefined }] }]);
  expect(reply).toMatchObject({ kind: "committed" });
}

function has(engine: SqliteEngine, key: string): boolean {
  const [reply] = engine.run([{ kind: "get", key }]);
  return reply?.kind === "entry" && reply.entry !== undefined;
}
