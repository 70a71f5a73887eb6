import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ControlBudget } from "./control-budget.ts";
import { ReceiveWindow } from "./receive-window.ts";

test("a window is opened again when half of it has been read, by what was read", () => {
  const window = new ReceiveWindow(1_000, 8_000);
  window.reset(0);
  expect(window.receive(600)).toBe(true);
  expect(window.take(400, 1, 0)).toBe(0);
  expect(window.take(200, 1, 0)).toBe(600);
  expect(window.size).toBe(1_000);
});

test("a window that is used up within two round trips doubles, up to its bound", () => {
  const window = new ReceiveWindow(1_000, 5_000);
  window.reset(0);
  const sizes: number[] = [];
  for (let round = 1; round <= 5; round++) {
    window.receive(window.size / 2);
    window.take(window.size / 2, round * 100, 100);
    sizes.push(window.size);
  }
  expect(sizes).toEqual([2_000, 4_000, 5_000, 5_000, 5_000]);
});

test("a peer that sends more than it may is found out", () => {
  const window = new ReceiveWindow(1_000, 8_000);
  window.reset(0);
  expect(window.receive(1_000)).toBe(true);
  expect(window.receive(1)).toBe(false);
});

test("what a peer may send beyond what was read never exceeds the window", () => {
  const step = fc.record({ bytes: fc.nat(3_000), afterMs: fc.nat(500) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const window = new ReceiveWindow(1_000, 8_000);
      window.reset(0);
      let allowed = 1_000;
      let nowMs = 0;
      for (const { bytes, afterMs } of steps) {
        nowMs += afterMs;
        const sent = Math.min(bytes, allowed);
        allowed -= sent;
        expect(window.receive(sent)).toBe(true);
        allowed += window.take(sent, nowMs, 140);
        expect(allowed).toBeLessThanOrEqual(window.size);
        expect(allowed).toBeGreaterThan(0);
      }
    }),
  );
});

test("frames that carry nothing are bounded at once and for ever, and messages pay for some", () => {
  const budget = new ControlBudget(100, 10);
  for (let frame = 0; frame < 100; frame++) expect(budget.spend(0)).toBe(true);
  expect(budget.spend(0)).toBe(false);
  expect(budget.spend(1_000)).toBe(true);
  const busy = new ControlBudget(100, 10);
  for (let request = 0; request < 10_000; request++) {
    busy.earnMessage();
    expect(busy.spend(0) && busy.spend(0)).toBe(true);
  }
});
