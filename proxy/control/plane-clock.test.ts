import { expect, it } from "vitest";
import { PlaneClock } from "./plane-clock.ts";

it("knows how far our clock is from the plane's, by the answer that was fastest of the last few", () => {
  const clock = new PlaneClock();
  expect(clock.aheadMs).toBeUndefined();
  // Ours is 40 s ahead; the first answer took 6 s on its way back alone.
  clock.hear(1_000_000, 1_046_000, 6_000);
  expect(clock.aheadMs).toBe(43_000);
  clock.hear(1_003_000, 1_043_005, 10);
  expect(clock.aheadMs).toBe(40_000);
  // It was put right, and the one that had been fastest is forgotten in time.
  for (let at = 0; at < 8; at++) clock.hear(1_006_000 + at, 1_006_010 + at, 20);
  expect(clock.aheadMs).toBe(0);
});
