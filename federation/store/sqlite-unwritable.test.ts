import { spawn } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const { signal } = new AbortController();
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-unwritable-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Campaigns, writes, and says what came of it; then its files may grow again. */
const program = (path: string): string => `
  import { spawnSync } from "node:child_process";
  import { openSqliteStore } from ${JSON.stringify(new URL("./sqlite-store.ts", import.meta.url).href)};
  import { systemClock } from ${JSON.stringify(new URL("../runtime/clock.ts", import.meta.url).href)};
  import { until } from ${JSON.stringify(new URL("../runtime/watched.ts", import.meta.url).href)};
  import { silentLogger } from ${JSON.stringify(new URL("../telemetry/logger.ts", import.meta.url).href)};
  const signal = new AbortController().signal;
  // A store alone keeps no process alive.
  setInterval(() => undefined, 1_000);
  const say = (what) => process.stdout.write(JSON.stringify(what) + "\\n");
  const store = await openSqliteStore({ path: ${JSON.stringify(path)}, clock: systemClock, logger: silentLogger, operationTimeoutMs: 60_000 });
  const put = (key, lease) => store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(9_000), ...(lease === undefined ? {} : { lease }) }] }, signal);
  const lease = await store.grantLease(1_500, signal);
  const leading = await put("leader", lease);
  const keys = (await store.list("", signal)).entries.map(({ key }) => key);
  const refused = await put("more").then(() => "taken", (error) => error.code);
  say({ term: leading.revision, isCertain: lease.certain.current, keys, refused });
  spawnSync("prlimit", ["--pid", String(process.pid), "--fsize=unlimited"]);
  await until(lease.certain, (isCertain) => isCertain, signal);
  const after = await put("more");
  say({ isHeld: !lease.lost.aborted, after: after.revision, leader: (await store.get("leader", signal)).createRevision });
  process.exit(0);`;

it("lets a plane lead and read over files that take nothing, refuses writes with one code, and is certain of the term once they take something", async () => {
  const path = join(directory, "state.sqlite");
  const open = async () => await openSqliteStore({ path, clock: systemClock, logger: silentLogger, operationTimeoutMs: 60_000 });
  let before: number;
  {
    await using store = await open();
    const commit = await store.commit({ conditions: [], writes: [{ kind: "put", key: "kept", value: new Uint8Array(1) }] }, signal);
    before = commit.kind === "committed" ? commit.revision : 0;
  }
  // No file of the process may grow: what a full disk is to it.
  const child = spawn("prlimit", ["--fsize=0:unlimited", process.execPath, "--input-type=module", "-e", program(path)], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
  const said: unknown[] = [];
  for await (const line of createInterface({ input: child.stdout })) said.push(JSON.parse(line));
  expect(said).toEqual([
    { term: before + 1, isCertain: false, keys: ["kept", "leader"], refused: "ATOLL_STORE_UNWRITABLE" },
    { isHeld: true, after: before + 2, leader: before + 1 },
  ]);
  await using store = await open();
  const { revision, entries } = await store.list("", signal);
  expect([revision, entries.map(({ key }) => key)]).toEqual([before + 2, ["kept", "more"]]);
});

it("takes no writes any more once its file has been removed or exchanged under it, which nobody would find again, and takes them when it is back", async () => {
  const path = join(directory, "state.sqlite");
  await using store = await openSqliteStore({ path, clock: systemClock, logger: silentLogger, operationTimeoutMs: 60_000 });
  const put = async (key: string): Promise<unknown> => await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(1) }] }, signal);
  await put("a");
  await put("b");
  for (const suffix of ["", "-wal"]) {
    renameSync(`${path}${suffix}`, `${path}.aside`);
    await expect(put("lost")).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE", message: expect.stringContaining(`state.sqlite${suffix} has been removed`) });
    writeFileSync(`${path}${suffix}`, "");
    await expect(put("lost")).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE", message: expect.stringContaining("exchanged") });
    // They go to the engine together.
    const [refused, read] = await Promise.all([put("lost").then(() => "taken", () => "refused"), store.get("a", signal)]);
    expect([refused, read?.key]).toEqual(["refused", "a"]);
    expect((await store.list("", signal)).entries.map(({ key }) => key)).toEqual(["a", "b"]);
    renameSync(`${path}.aside`, `${path}${suffix}`);
    await put("b");
  }
});
