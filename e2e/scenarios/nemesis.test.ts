import { describe, expect, it } from "vitest";
import { findTestEngine } from "../contract/test-engines.ts";
import { isClean } from "../nemesis/nemesis-line.ts";
import type { FaultKind } from "../nemesis/fault-plan.ts";
import type { Ground } from "../nemesis/places.ts";
import { runSeries } from "../nemesis/run-series.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const lastsMs = [2_000, 5_000] as const;
/** A few: hundreds are for `npm run nemesis`, which has a host to itself. */
const proxies = 100;
const { signal } = new AbortController();

/** The whole series again, with what was found, by `npm run nemesis` with the same seed and options. */
async function expectClean(options: { readonly ground: Ground; readonly seed: number; readonly runs: number; readonly kinds: readonly FaultKind[] }): Promise<void> {
  const said: string[] = [];
  const line = await runSeries({ ...options, proxies, lastsMs, signal, onProgress: (sentence) => void said.push(sentence) });
  expect(isClean(line), said.join("\n")).toBe(true);
  expect(line.runs).toBe(options.runs);
  expect(line.acknowledged).toBeGreaterThan(0);
}

// Each run waits for states, and bounds what never comes; together they take about four minutes on two busy cores.
describe("under faults nothing that was acknowledged is lost, nothing deleted comes back, and nothing lasts in silence", () => {
  it("on SQLite and the hub", { timeout: 900_000 }, async () => {
    await expectClean({ ground: "embedded", seed: 3, runs: 3, kinds: ["kill", "freeze", "cut", "cut-one-way", "rollback-restart", "wipe", "clone", "cold", "skew"] });
  });

  it.skipIf(!hasEngines)("on etcd and NATS", { timeout: 900_000 }, async () => {
    await expectClean({ ground: "engines", seed: 10, runs: 3, kinds: ["kill", "freeze", "cut", "cut-one-way", "rollback", "rollback-restart", "wipe", "cold", "skew", "reconnect"] });
  });
});
