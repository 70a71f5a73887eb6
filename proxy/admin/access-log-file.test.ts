import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { AccessLogFile } from "./access-log-file.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-log-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("AccessLogFile", () => {
  it("writes every line in order, in a private file that it appends to", async () => {
    const path = join(directory, "access.log");
    const expected: string[] = [];
    for (let life = 0; life < 2; life++) {
      await using log = await AccessLogFile.open(path, new VirtualClock());
      for (let index = 0; index < 5_000; index++) {
        const line = `life ${life} line ${index} ${"x".repeat(index % 90)}\n`;
        expected.push(line);
        log.write(line);
        if (index % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    expect(readFileSync(path, "utf8")).toBe(expected.join(""));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("writes a lone line after a moment", async () => {
    const clock = new VirtualClock();
    const path = join(directory, "access.log");
    await using log = await AccessLogFile.open(path, clock);
    log.write("one\n");
    expect(readFileSync(path, "utf8")).toBe("");
    await clock.advance(200);
    while (readFileSync(path, "utf8") === "") await new Promise((resolve) => setImmediate(resolve));
    expect(readFileSync(path, "utf8")).toBe("one\n");
  });

  it("drops and counts what exceeds its bound instead of waiting", async () => {
    const path = join(directory, "access.log");
    const log = await AccessLogFile.open(path, new VirtualClock(), 100);
    for (let index = 0; index < 20; index++) log.write("0123456789");
    expect(log.dropped).toBe(10);
    await log[Symbol.asyncDispose]();
    expect(readFileSync(path, "utf8")).toHaveLength(100);
  });
});
