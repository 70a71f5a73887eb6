import { spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lastWords, processTroubles } from "./process-trouble.ts";

let child: ChildProcessByStdio<Writable, Readable, null>;
const pid = (): number => child.pid ?? 0;
beforeEach(async () => {
  child = spawn("sh", ["-c", "echo up; read line"], { stdio: ["pipe", "pipe", "ignore"] });
  await once(child.stdout, "data");
});
afterEach(async () => {
  child.kill("SIGKILL");
  await once(child, "exit");
});

it.runIf(process.platform === "linux")("names a process that a signal has stopped, and says how it goes on", async () => {
  expect(processTroubles(pid())).toEqual([]);
  child.kill("SIGSTOP");
  await vi.waitUntil(() => processTroubles(pid()).length > 0);
  expect(processTroubles(pid())).toEqual([`has been stopped by a signal, and does nothing until \`kill -CONT ${pid()}\``]);
  child.kill("SIGCONT");
  await vi.waitUntil(() => processTroubles(pid()).length === 0);
});

it.runIf(process.platform === "linux")("names a process that can open no more files", () => {
  spawnSync("prlimit", ["--pid", String(pid()), "--nofile=3:3"]);
  expect(processTroubles(pid())[0]).toMatch(/^has \d+ of 3 files and sockets open and can open no more: raise its limit/);
});

it("says nothing of a process that is not there", () => {
  expect(processTroubles(2 ** 30)).toEqual([]);
});

it("tells the error that ended a process by its log, the last one, and none of a log without one, or of no log", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-log-"));
  try {
    const file = join(directory, "eu-plane.log");
    expect(lastWords(file)).toBeUndefined();
    writeFileSync(file, '{"level":"info"}\n');
    expect(lastWords(file)).toBeUndefined();
    appendFileSync(file, "ATOLL_PORT_TAKEN: before\nATOLL_JOIN_TOKEN_REFUSED: the token has been used\n    at somewhere\n");
    expect(lastWords(file)).toBe("ATOLL_JOIN_TOKEN_REFUSED: the token has been used");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
