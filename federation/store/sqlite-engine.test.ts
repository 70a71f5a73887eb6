import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SqliteEngine, type EngineReply, type EngineWrite } from "./sqlite-engine.ts";
import { writeBackup } from "./sqlite-files.ts";

const put = (key: string, bytes = 1): EngineWrite => ({ kind: "put", key, value: new Uint8Array(bytes), leaseId: undefined });

function commit(engine: SqliteEngine, writes: readonly EngineWrite[]): void {
  expect(engine.run([{ kind: "commit", conditions: [], writes }])).toMatchObject([{ kind: "committed" }]);
}

function pageOf(engine: SqliteEngine, prefix: string, after?: string): Extract<EngineReply, { kind: "page" }> {
  const [reply] = engine.run([{ kind: "list", prefix, after }]);
  if (reply?.kind !== "page") throw new Error(`the engine answered ${reply?.kind}`);
  return reply;
}

describe("a page of a listing", () => {
  it("has an end by its number of entries and by their bytes, and the next one begins behind it", () => {
    using engine = new SqliteEngine(":memory:");
    commit(engine, Array.from({ length: 601 }, (_, index) => put(`n/${String(index).padStart(4, "0")}`)));
    commit(engine, [put("o", 700_000), put("o\0", 700_000), put("o/", 1), put("p", 1)]);
    const first = pageOf(engine, "n/");
    expect([first.entries.length, first.isLast, pageOf(engine, "n/", first.entries.at(-1)?.key)]).toMatchObject([500, false, { entries: { length: 101 }, isLast: true }]);
    const large = pageOf(engine, "o");
    expect([large.entries.map(({ key }) => key), large.isLast]).toEqual([["o", "o\0"], false]);
    expect(pageOf(engine, "o", "o\0")).toMatchObject({ entries: [{ key: "o/" }], isLast: true });
    expect(pageOf(engine, "", "o/")).toMatchObject({ entries: [{ key: "p" }], isLast: true });
  });
});

describe("a copy", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-copy-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** Of more steps than one. */
  const filled = (): SqliteEngine => {
    const engine = new SqliteEngine(join(directory, "state.sqlite"));
    for (let index = 0; index < 8; index++) commit(engine, [put(`before/${index}`, 1_000_000)]);
    return engine;
  };

  it("is made while the engine goes on, and holds what was written meanwhile", async () => {
    using engine = filled();
    const target = join(directory, "copy.sqlite");
    const made = engine.copyTo(target, new AbortController().signal);
    // So many that its beginning meets one of them.
    for (let count = 0; count < 100; count++) commit(engine, [put("meanwhile")]);
    await made;
    using copy = new SqliteEngine(target);
    expect([copy.revision, pageOf(copy, "meanwhile").entries.length, pageOf(copy, "before/").entries.length]).toEqual([engine.revision, 1, 2]);
  });

  it("is given up when it is no longer wanted, leaves nothing, and the engine can be closed", async () => {
    using engine = filled();
    const given = new AbortController();
    const made = writeBackup(engine, join(directory, "state.sqlite"), given.signal);
    given.abort(new Error("enough"));
    await expect(made).rejects.toThrow("enough");
    commit(engine, [put("after")]);
    expect(readdirSync(directory).filter((name) => name.includes("backup"))).toEqual([]);
  });
});
