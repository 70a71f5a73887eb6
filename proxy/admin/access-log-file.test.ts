import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { writeAgainMs } from "#federation/runtime/kept-write.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
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
      await using log = await AccessLogFile.open(path, { clock: new VirtualClock(), logger: silentLogger });
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
    await using log = await AccessLogFile.open(path, { clock, logger: silentLogger });
    log.write("one\n");
    expect(readFileSync(path, "utf8")).toBe("");
    await clock.advance(200);
    while (readFileSync(path, "utf8") === "") await new Promise((resolve) => setImmediate(resolve));
    expect(readFileSync(path, "utf8")).toBe("one\n");
  });

  it("drops and counts what exceeds its bound instead of waiting", async () => {
    const path = join(directory, "access.log");
    const log = await AccessLogFile.open(path, { clock: new VirtualClock(), logger: silentLogger, heldMax: 100 });
    for (let index = 0; index < 20; index++) log.write("0123456789");
    expect(log.dropped).toBe(10);
    await log[Symbol.asyncDispose]();
    expect(readFileSync(path, "utf8")).toHaveLength(100);
  });

  it("opens on a disk that takes nothing, says why, drops what does not fit, and writes the rest when it can", async () => {
    const clock = new VirtualClock();
    const path = join(directory, "missing", "access.log");
    const said: string[] = [];
    const logger = { info: (message: string) => void said.push(message), error: (message: string) => void said.push(message) };
    await using log = await AccessLogFile.open(path, { clock, logger, heldMax: 30 });
    expect(log.failure).toMatch(/ENOENT/);
    log.write("0123456789");
    await clock.advance(200);
    for (let index = 0; index < 5; index++) log.write("abcdefghi\n");
    await vi.waitUntil(async () => {
      await clock.advance(writeAgainMs);
      return log.dropped === 2;
    });
    mkdirSync(join(directory, "missing"));
    await vi.waitUntil(async () => {
      await clock.advance(writeAgainMs);
      return log.failure === undefined && statSync(path).size === 40;
    });
    expect(readFileSync(path, "utf8")).toBe(`0123456789${"abcdefghi\n".repeat(3)}`);
    expect(said).toEqual([expect.stringContaining("cannot be written"), "The access log is written again."]);
  });

  it("closes on a disk that takes nothing, and counts what is lost", async () => {
    const log = await AccessLogFile.open(join(directory, "missing", "access.log"), { clock: new VirtualClock(), logger: silentLogger });
    log.write("one\n");
    log.write("two\n");
    await log[Symbol.asyncDispose]();
    expect(log.dropped).toBe(2);
  });
});
