import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ResolvedNames } from "#federation/runtime/dns/name-resolver.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger, type Logger } from "#federation/telemetry/logger.ts";
import { loadNames, saveNames } from "./names-file.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-names-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const resolved = (...addresses: string[]) => ({ addresses, asOfMs: 7, asked: true, problem: undefined });

describe("the addresses of names on disk", () => {
  it("come back as they were written, for the owner alone to read; names without addresses are left out", async () => {
    const names = new WatchedValue<ResolvedNames>(new Map([["gw.example", resolved("10.0.0.1", "fd00::1")], ["nothing.invalid", resolved()]]));
    const stop = new AbortController();
    const saving = saveNames(directory, names, { clock: new VirtualClock(), logger: silentLogger }, stop.signal);
    await untilWritten();
    stop.abort();
    await saving;
    expect(await loadNames(directory, silentLogger)).toEqual(new Map([["gw.example", { addresses: ["10.0.0.1", "fd00::1"], asOfMs: 7 }]]));
    expect(statSync(join(directory, "names.json")).mode & 0o777).toBe(0o600);
  });

  it.each([["nothing", undefined, 0], ["what is no JSON", "{", 1], ["another form", '{"a":1}', 1], ["an entry that is none", '[["GW",["10.0.0.1"],1]]', 1]])(
    "are no hindrance to a start when there is %s",
    async (_what, text, warnings) => {
      if (text !== undefined) writeFileSync(join(directory, "names.json"), text);
      const warned: string[] = [];
      const logger: Logger = { ...silentLogger, warn: (message) => void warned.push(message) };
      expect(await loadNames(directory, logger)).toEqual(new Map());
      expect(warned).toHaveLength(warnings);
    },
  );

  async function untilWritten(): Promise<void> {
    for (;;) {
      try {
        if (readFileSync(join(directory, "names.json"), "utf8") !== "") return;
      } catch {
        // Not yet.
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
});
