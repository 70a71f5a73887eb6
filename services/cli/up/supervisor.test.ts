import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { isSameProcess, processIdentity } from "./process-identity.ts";
import type { ProcessSpec } from "./process-spec.ts";
import { processesFileName, Supervisor, type ProcessesFile } from "./supervisor.ts";

const never = new AbortController().signal;
let dataDir = "";
let supervisor: Supervisor;

/** A program that writes its ready file and stays until SIGTERM. */
const serving = `
  const fs = require("node:fs");
  const [file] = process.argv.slice(1);
  fs.writeFileSync(file + ".new", JSON.stringify({ pid: process.pid, ports: { http: 1 } }));
  fs.renameSync(file + ".new", file);
  process.on("SIGTERM", () => process.exit(0));
  setInterval(() => {}, 1000);
`;

function spec(name: string, options: { readonly region?: string; readonly program?: string; readonly kind?: ProcessSpec["kind"] } = {}): ProcessSpec {
  const readyFile = join(dataDir, name, "ready.json");
  return {
    name,
    kind: options.kind ?? "app",
    ...(options.region === undefined ? {} : { region: options.region }),
    command: process.execPath,
    args: ["-e", options.program ?? serving, readyFile],
    cwd: dataDir,
    logFile: join(dataDir, "logs", `${name}.log`),
    readyFile,
  };
}

async function eventually(what: string, isTrue: () => boolean): Promise<void> {
  const untilMs = systemClock.monotonicMs() + 10_000;
  while (!isTrue()) {
    if (systemClock.monotonicMs() > untilMs) throw new Error(`not within 10 s: ${what}`);
    await sleep(systemClock, 10, never);
  }
}

function traces(): ProcessesFile["processes"] {
  return (JSON.parse(readFileSync(join(dataDir, processesFileName), "utf8")) as ProcessesFile).processes;
}

describe("the supervisor", () => {
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-supervisor-"));
    supervisor = new Supervisor({ dataDir, clock: systemClock, env: process.env, log: () => {}, stopGraceMs: 500 });
  });
  afterEach(async () => {
    await supervisor.stopAll();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("says that a process runs when it has written its ready file, and with which ports", async () => {
    await supervisor.add([spec("a")]);
    await supervisor.waitReady(["a"], never);
    expect(supervisor.list()).toMatchObject([{ name: "a", state: "running", ports: { http: 1 }, restarts: 0 }]);
  });

  it("keeps on disk what identifies every living process", async () => {
    await supervisor.add([spec("a"), spec("b")]);
    await supervisor.waitReady(["a", "b"], never);
    expect(traces().map((trace) => trace.name)).toEqual(["a", "b"]);
    for (const trace of traces()) expect(isSameProcess(trace.pid, trace.identity)).toBe(true);
  });

  it("kills a region and nothing else, leaves it dead, and starts it again when told", async () => {
    await supervisor.add([spec("a", { region: "eu" }), spec("b", { region: "eu" }), spec("c", { region: "us" })]);
    await supervisor.waitReady(["a", "b", "c"], never);
    const before = traces();
    expect(supervisor.kill({ region: "eu" }).names).toEqual(["a", "b"]);
    expect(supervisor.list().map((view) => view.state)).toEqual(["killed", "killed", "running"]);
    // Told at once, while the dead are not yet collected: they come back all the same.
    supervisor.start({ names: ["a", "b"] });
    await supervisor.waitReady(["a", "b", "c"], never);
    const after = traces();
    const pidOf = (list: typeof after, name: string): number | undefined => list.find((trace) => trace.name === name)?.pid;
    expect(pidOf(after, "a")).not.toBe(pidOf(before, "a"));
    expect(pidOf(after, "c")).toBe(pidOf(before, "c"));
    expect(supervisor.list().every((view) => view.restarts === 0)).toBe(true);
  });

  it("starts a process again that ended by itself", async () => {
    await supervisor.add([spec("a")]);
    await supervisor.waitReady(["a"], never);
    const [first] = traces();
    process.kill(first?.pid ?? 0, "SIGKILL");
    await expect.poll(() => supervisor.list()[0]).toMatchObject({ state: "running", restarts: 1 });
    expect(traces()[0]?.pid).not.toBe(first?.pid);
  });

  it("starts what is to run otherwise anew, and leaves the others as they are", async () => {
    await supervisor.add([spec("a"), spec("b")]);
    await supervisor.waitReady(["a", "b"], never);
    const [a, b] = traces();
    await supervisor.add([{ ...spec("a"), env: { CHANGED: "yes" } }, spec("b")]);
    await supervisor.waitReady(["a", "b"], never);
    const after = new Map(traces().map(({ name, pid }) => [name, pid]));
    expect(after.get("a")).not.toBe(a?.pid);
    expect(after.get("b")).toBe(b?.pid);
  });

  it("forgets what is removed", async () => {
    await supervisor.add([spec("a"), spec("b")]);
    await supervisor.waitReady(["a", "b"], never);
    await supervisor.remove(["a", "nobody"]);
    expect(supervisor.list().map(({ name }) => name)).toEqual(["b"]);
    expect(traces().map(({ name }) => name)).toEqual(["b"]);
  });

  it("ends with a user's program what that has started", async () => {
    const parent = `const { spawn } = require("node:child_process");
      const child = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio: "ignore" });
      require("node:fs").writeFileSync(process.argv[1] + ".child", String(child.pid));${serving}`;
    await supervisor.add([{ ...spec("a", { program: parent }), isGroup: true }]);
    await supervisor.waitReady(["a"], never);
    const child = Number(readFileSync(join(dataDir, "a", "ready.json.child"), "utf8"));
    const identity = processIdentity(child);
    expect(identity).toBeDefined();
    await supervisor.stopAll();
    await eventually("the child has ended", () => !isSameProcess(child, identity ?? ""));
  });

  it("tells with the end of the log when a process does not start", async () => {
    await supervisor.add([spec("bad", { program: "console.error('the port is taken'); process.exit(2)" })]);
    await expect(supervisor.waitReady(["bad"], never)).rejects.toMatchObject({ code: "ATOLL_PROCESS_FAILED", message: expect.stringMatching(/bad does not start \(exit code 2\)[^]*the port is taken/) as string });
  });

  it("leaves nothing alive when it ends, not even who ignores SIGTERM", async () => {
    const stubborn = serving.replace("process.exit(0)", "{}");
    await supervisor.add([spec("a"), spec("b", { kind: "users" }), spec("c", { program: stubborn, kind: "bus" })]);
    await supervisor.waitReady(["a", "b", "c"], never);
    const alive = traces();
    await supervisor.stopAll();
    expect(alive.filter((trace) => isSameProcess(trace.pid, trace.identity))).toEqual([]);
    expect(traces()).toEqual([]);
  });

  it("does not know a region or a name that nobody has", () => {
    expect(() => supervisor.kill({ region: "mars" })).toThrow(expect.objectContaining({ code: "ATOLL_CONTROL_REFUSED" }));
    expect(() => supervisor.start({ names: ["nobody"] })).toThrow(expect.objectContaining({ code: "ATOLL_CONTROL_REFUSED" }));
    expect(existsSync(join(dataDir, processesFileName))).toBe(true);
  });
});
