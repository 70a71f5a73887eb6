import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { silentLogger, type LogFields, type Logger } from "#federation/telemetry/logger.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite-store.ts";

describe("a store file", () => {
  let directory: string;
  let path: string;
  const warnings: LogFields[] = [];
  const logger: Logger = { ...silentLogger, warn: (_message, fields) => void warnings.push(fields ?? {}) };
  const signal = new AbortController().signal;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-durable-"));
    path = join(directory, "state.sqlite");
    warnings.length = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const open = (): Promise<SqliteStore> => openSqliteStore({ path, clock: systemClock, logger, operationTimeoutMs: 60_000 });
  const put = async (store: SqliteStore, key: string): Promise<void> => {
    await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new TextEncoder().encode(key) }] }, signal);
  };
  const keys = async (store: SqliteStore): Promise<readonly string[]> => (await store.list("", signal)).entries.map((entry) => entry.key);

  it("holds every acknowledged write after kill -9", async () => {
    const program = `
      import { openSqliteStore } from ${JSON.stringify(new URL("./sqlite-store.ts", import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(new URL("../runtime/clock.ts", import.meta.url).href)};
      import { silentLogger } from ${JSON.stringify(new URL("../telemetry/logger.ts", import.meta.url).href)};
      const signal = new AbortController().signal;
      const store = await openSqliteStore({ path: ${JSON.stringify(path)}, clock: systemClock, logger: silentLogger, operationTimeoutMs: 60_000 });
      const lease = await store.grantLease(60_000, signal);
      await store.commit({ conditions: [], writes: [{ kind: "put", key: "leased", value: new Uint8Array(1), lease }] }, signal);
      let count = 0;
      await Promise.all(Array.from({ length: 8 }, async () => {
        for (;;) {
          const key = "k" + count++;
          await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(500) }] }, signal);
          process.stdout.write(key + "\\n");
        }
      }));`;
    const writer = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(writer, "exit");
    const acknowledged: string[] = [];
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged.push(line);
      if (acknowledged.length === 300) writer.kill("SIGKILL");
    }
    await ended;
    await using store = await open();
    const found = new Set(await keys(store));
    expect(acknowledged.filter((key) => !found.has(key))).toEqual([]);
    expect([store.origin, found.has("leased")]).toEqual(["file", false]);
  });

  it("is not opened by a second process", async () => {
    await using _store = await open();
    await expect(open()).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE", message: expect.stringContaining("another process") });
  });

  it("keeps its revisions over a restart", async () => {
    const first = await open();
    await put(first, "a");
    const before = (await first.list("", signal)).revision;
    await first[Symbol.asyncDispose]();
    await using second = await open();
    expect((await second.list("", signal)).revision).toBe(before);
  });

  it.each([
    ["overwritten", (file: string): void => writeFileSync(file, "this was a database once, but no longer".repeat(200))],
    ["torn in the middle", (file: string): void => writeFileSync(file, readFileSync(file).fill(0xa5, 4096, 12_288))],
    ["cut to nothing", (file: string): void => truncateSync(file, 0)],
    ["cut to nothing beside its write-ahead log", cutBesideLog],
  ])("that was %s is moved aside, and the backup takes its place", async (_how, damage) => {
    const first = await open();
    for (let index = 0; index < 50; index++) await put(first, `k${index}`);
    await first[Symbol.asyncDispose]();
    // The second opening copies what it found; the third finds the damage.
    const second = await open();
    while (!readdirSync(directory).some((file) => file.endsWith(".backup-1"))) await keys(second);
    await second[Symbol.asyncDispose]();
    damage(path);
    const damaged = readFileSync(path);
    await using third = await open();
    const files = readdirSync(directory);
    const aside = files.find((file) => file.includes(".corrupt-"));
    expect(third.origin).toBe("backup");
    expect(await keys(third)).toContain("k0");
    expect(warnings).toHaveLength(1);
    expect(readFileSync(join(directory, aside ?? "")).equals(damaged)).toBe(true);
  });

  it("that is gone begins from its backup: whoever moved an unsound one aside may have been ended before that was in its place", async () => {
    const first = await open();
    await put(first, "k0");
    await first[Symbol.asyncDispose]();
    const second = await open();
    while (!readdirSync(directory).some((file) => file.endsWith(".backup-1"))) await keys(second);
    await second[Symbol.asyncDispose]();
    renameSync(path, `${path}.corrupt-1`);
    await using third = await open();
    expect([third.origin, await keys(third), warnings]).toEqual(["backup", ["k0"], [{ path }]]);
  });

  it("that is unsound and has no backup is moved aside, and the store begins empty", async () => {
    writeFileSync(path, "nothing that SQLite knows".repeat(100));
    await using store = await open();
    expect([store.origin, await keys(store), warnings.length]).toEqual(["emptied", [], 1]);
    await put(store, "works");
    expect(await keys(store)).toEqual(["works"]);
  });
});

function cutBesideLog(file: string): void {
  truncateSync(file, 0);
  writeFileSync(`${file}-wal`, "frames");
}
