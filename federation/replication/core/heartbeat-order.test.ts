import { expect, test } from "vitest";
import { HeartbeatOrder } from "./heartbeat-order.ts";

const minuteMs = 60_000;
const startMs = Date.UTC(2026, 0, 1);

test("a publisher whose clock was ahead and is set right is heard all the while", () => {
  const order = new HeartbeatOrder();
  const clocks = [0, 10 * minuteMs, 10 * minuteMs + 1_000, 2_000, 3_000];
  expect(clocks.map((offMs, at) => order.isNews({ stream: "a", beat: at + 1, sentAtMs: startMs + offMs }))).toEqual([true, true, true, true, true]);
});

test("a heartbeat that is shown again, or comes after a later one, is no news, whatever its time", () => {
  const order = new HeartbeatOrder();
  const heartbeats = [1, 3, 3, 2, 4].map((beat) => ({ stream: "a", beat, sentAtMs: startMs + minuteMs - beat }));
  expect(heartbeats.map((heartbeat) => order.isNews(heartbeat))).toEqual([true, true, false, false, true]);
});

test("another stream begins anew", () => {
  const order = new HeartbeatOrder();
  expect(order.isNews({ stream: "a", beat: 700, sentAtMs: startMs })).toBe(true);
  expect(order.isNews({ stream: "b", beat: 1, sentAtMs: startMs - minuteMs })).toBe(true);
});

test("of publishers that do not count, time decides", () => {
  const order = new HeartbeatOrder();
  expect([5, 6, 6, 4, 7].map((second) => order.isNews({ stream: "a", beat: 0, sentAtMs: startMs + second * 1_000 }))).toEqual([true, true, false, false, true]);
});
