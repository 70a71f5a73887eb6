import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "vitest";
import { processIdentity } from "./process-identity.ts";
import { takeUpLock } from "./up-lock.ts";

let directory: string;
const path = (): string => join(directory, "up.lock");
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it("is held by one at a time, and leaves nothing behind", () => {
  {
    using _ = takeUpLock(directory);
    expect(() => takeUpLock(directory)).toThrow(expect.objectContaining({ code: "ATOLL_FEDERATION_RUNNING", message: expect.stringContaining(`(pid ${process.pid})`) }));
  }
  expect(readdirSync(directory)).toEqual([]);
  takeUpLock(directory)[Symbol.dispose]();
});

it("is taken over from a process that is gone, and from a file that is damaged", () => {
  for (const left of [JSON.stringify({ pid: process.pid, identity: "another boot/1" }), JSON.stringify({ pid: 2 ** 30, identity: processIdentity(process.pid) }), "{", ""]) {
    writeFileSync(path(), left);
    takeUpLock(directory)[Symbol.dispose]();
    expect(readdirSync(directory)).toEqual([]);
  }
});

it("is had by one of many that want it at the same time, over a lock that was left", async () => {
  writeFileSync(path(), JSON.stringify({ pid: 2 ** 30, identity: "gone" }));
  // Whoever has it keeps it until it is killed.
  const program = `
    import { takeUpLock } from ${JSON.stringify(new URL("./up-lock.ts", import.meta.url).href)};
    try { takeUpLock(${JSON.stringify(directory)}); process.stdout.write("taken"); } catch (error) { process.stdout.write(error.code); }
    setInterval(() => undefined, 1_000);`;
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] }));
  const said = await Promise.all(children.map(async (child) => (await once(child.stdout, "data"))[0] as Buffer).map(async (data) => (await data).toString()));
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map((child) => text(child.stdout)));
  expect(said.toSorted()).toEqual(["ATOLL_FEDERATION_RUNNING", "ATOLL_FEDERATION_RUNNING", "ATOLL_FEDERATION_RUNNING", "taken"]);
});
