import { describe, expect, it } from "vitest";
import type { Clock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { RolloutWaits, rolloutWaitersMax } from "./rollout-waits.ts";

describe("waiting for a rollout", () => {
  const setUp = (): { readonly clock: VirtualClock; readonly waits: RolloutWaits; readonly refused: () => number; readonly stop: AbortController } => {
    const clock = new VirtualClock();
    let refused = 0;
    return { clock, waits: new RolloutWaits({ clock, onRefused: () => void refused++ }), refused: () => refused, stop: new AbortController() };
  };

  it("answers at once what is news already, and without a wait whatever there is", async () => {
    const { waits, stop } = setUp();
    expect(await waits.until(() => 1, (seen) => seen === 1, 5_000, stop.signal)).toBe(1);
    expect(await waits.until(() => 1, () => false, 0, stop.signal)).toBe(1);
  });

  it("answers with the first look that brings news, and when its time is over with what it saw last", async () => {
    const { clock, waits, stop } = setUp();
    let seen = 0;
    const asked = waits.until(() => seen, (value) => value > 0, 5_000, stop.signal);
    await clock.advance(1_000);
    expect(waits.count).toBe(1);
    seen = 3;
    await clock.advance(1_000);
    expect(await asked).toBe(3);
    const inVain = waits.until(() => clock.monotonicMs(), () => false, 5_000, stop.signal);
    const startMs = clock.monotonicMs();
    await clock.advance(5_000);
    expect(await inVain).toBe(startMs + 5_000);
    expect(waits.count).toBe(0);
  });

  it("looks less often where a look takes long, so that all who wait take a tenth of the time", async () => {
    let nowMs = 0;
    const scheduled: { readonly atMs: number; readonly callback: () => void }[] = [];
    // A clock on which looking itself takes time.
    const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, schedule: (delayMs, callback) => (scheduled.push({ atMs: nowMs + delayMs, callback }), { [Symbol.dispose]: () => {} }) };
    const waits = new RolloutWaits({ clock, onRefused: () => {} });
    let looks = 0;
    const look = (): void => {
      looks++;
      nowMs += 20;
    };
    const all = [1, 2].map(() => waits.until(look, () => false, 20_000, new AbortController().signal));
    for (let next = scheduled.shift(); next !== undefined; next = scheduled.shift()) {
      nowMs = Math.max(nowMs, next.atMs);
      next.callback();
      await new Promise<void>((resolve) => setImmediate(resolve));
      scheduled.sort((a, b) => a.atMs - b.atMs);
    }
    await Promise.all(all);
    expect(looks * 20).toBeLessThan(0.13 * nowMs);
    expect(looks * 20).toBeGreaterThan(0.07 * nowMs);
  });

  it("refuses whom it has no room for, and has room again when others leave", async () => {
    const { clock, waits, refused, stop } = setUp();
    const all = Array.from({ length: rolloutWaitersMax }, () => waits.until(() => 0, () => false, 60_000, stop.signal).catch((error: unknown) => error));
    await expect(waits.until(() => 0, () => false, 1_000, stop.signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_OVERLOADED" });
    expect(refused()).toBe(1);
    stop.abort();
    expect(await Promise.all(all)).toEqual(all.map(() => expect.objectContaining({ code: "ATOLL_ABORTED" }) as unknown));
    const next = waits.until(() => 7, () => false, 1_000, new AbortController().signal);
    await clock.advance(1_000);
    expect(await next).toBe(7);
  });
});
