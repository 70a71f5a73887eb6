import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { atHalfLife } from "./half-life.ts";

const dayMs = 86_400_000;
const lifeMs = 30 * dayMs;

/** Renews what ends 30 days after each renewal, and at `issuerEndMs` at the latest; answers when, in ms from the start. */
async function renewals(forMs: number, issuerEndMs: (nowMs: number) => number): Promise<readonly number[]> {
  const clock = new VirtualClock();
  const startMs = clock.nowMs();
  const stop = new AbortController();
  const at: number[] = [];
  const endMs = (): number => Math.min(clock.nowMs() + lifeMs, startMs + issuerEndMs(clock.nowMs() - startMs));
  let notAfterMs = endMs();
  const renew = (): void => {
    at.push(clock.nowMs() - startMs);
    notAfterMs = endMs();
  };
  const running = atHalfLife({ notAfterMs: () => notAfterMs, renew, clock }, stop.signal);
  await clock.advance(forMs);
  stop.abort();
  await expect(running).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  return at;
}

it("renews at half of what is left, each time before the end", async () => {
  expect(await renewals(46 * dayMs, () => Infinity)).toEqual([15 * dayMs, 30 * dayMs, 45 * dayMs]);
  expect((await renewals(19 * dayMs, () => 20 * dayMs)).slice(0, 2)).toEqual([10 * dayMs, 15 * dayMs]);
});

it("does not go round ever faster towards the end of the issuer, nor after it", async () => {
  const at = await renewals(20 * dayMs + 10 * 60_000, () => 20 * dayMs);
  expect(at.length).toBeLessThan(35);
  const gaps = at.slice(1).map((atMs, index) => atMs - (at[index] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(60_000);
});

it("is back to half of thirty days once the issuer has been renewed", async () => {
  const at = await renewals(60 * dayMs, (nowMs) => (nowMs < 4 * dayMs ? 5 * dayMs : 400 * dayMs));
  expect(at.slice(0, 3)).toEqual([2.5 * dayMs, 3.75 * dayMs, 4.375 * dayMs]);
  expect(at.slice(3)).toEqual([19.375 * dayMs, 34.375 * dayMs, 49.375 * dayMs]);
});
