import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { initFederation } from "#services/global/federation-keys.ts";
import { renewIssuing } from "#services/global/issuing-renewal.ts";
import { isIssuingDue, keepIssuing } from "./issuing-renewal.ts";

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 1);

describe("the issuing certificate of a federation on this machine", () => {
  let keysDir: string;
  let clock: VirtualClock;
  let stop: AbortController;
  let logged: string[];
  let tried: number[];
  let isBroken: boolean;

  const keeping = (): Promise<void> =>
    keepIssuing(
      {
        keysDir,
        renew: async () => {
          tried.push(clock.nowMs() - startMs);
          if (isBroken) throw new Error("no disk");
          return renewIssuing({ dataDir: keysDir, nowMs: clock.nowMs() });
        },
        clock,
        log: (message) => void logged.push(message),
      },
      stop.signal,
    );
  const rootKey = (): string => join(keysDir, "federation-root.key");

  beforeEach(() => {
    keysDir = mkdtempSync(join(tmpdir(), "atoll-keys-"));
    clock = new VirtualClock(startMs);
    stop = new AbortController();
    [logged, tried, isBroken] = [[], [], false];
    initFederation(keysDir, "shop.atoll", startMs);
  });
  afterEach(() => rmSync(keysDir, { recursive: true }));

  it("is due at half of its life, and not where there is none", () => {
    expect(isIssuingDue(keysDir, startMs + 182 * dayMs)).toBe(false);
    expect(isIssuingDue(keysDir, startMs + 182.5 * dayMs)).toBe(true);
    expect(isIssuingDue(join(keysDir, "nowhere"), startMs + 400 * dayMs)).toBe(false);
  });

  it("is renewed by itself at half of its life, and then left alone for as long", async () => {
    const running = keeping();
    clock.jumpWall(182 * dayMs);
    await clock.advance(hourMs);
    expect(tried).toEqual([]);
    await clock.advance(dayMs);
    expect(tried).toHaveLength(1);
    expect(logged).toEqual([expect.stringMatching(/^the federation's issuing certificate is good until 2027-07-0[12]T/)]);
    clock.jumpWall(181 * dayMs);
    await clock.advance(hourMs);
    expect(tried).toHaveLength(1);
    stop.abort();
    await running;
  });

  it("is tried again when that fails, which is logged once", async () => {
    isBroken = true;
    clock.jumpWall(200 * dayMs);
    const running = keeping();
    await clock.advance(hourMs);
    expect(tried.length).toBeGreaterThan(2);
    expect(tried.length).toBeLessThan(10);
    expect(logged).toEqual(["the federation's issuing certificate stays as it is for now: no disk"]);
    isBroken = false;
    await clock.advance(hourMs);
    expect(isIssuingDue(keysDir, clock.nowMs())).toBe(false);
    stop.abort();
    await running;
  });

  it("waits for a root key that is elsewhere, and says once by which command it is renewed", async () => {
    renameSync(rootKey(), join(keysDir, "offline.key"));
    clock.jumpWall(200 * dayMs);
    const running = keeping();
    await clock.advance(2 * hourMs);
    expect(tried).toEqual([]);
    expect(logged).toEqual([expect.stringContaining(`\`atoll renew-issuing --keys ${keysDir} --root-key FILE\``)]);
    renameSync(join(keysDir, "offline.key"), rootKey());
    await clock.advance(hourMs);
    expect(tried).toHaveLength(1);
    stop.abort();
    await running;
  });
});
