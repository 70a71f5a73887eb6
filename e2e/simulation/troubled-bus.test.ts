import { expect, it } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { busWithoutHeartbeats, troubledBus } from "./troubled-bus.ts";

const message = (subject: string) => ({ from: "global", to: "shop-eu", subject: `atoll.down.shop-eu.${subject}` });
const many = Array.from({ length: 1_000 });

it("a bus without heartbeats loses each of them, and some of all else, and repeats much of it, late", () => {
  const faults = busWithoutHeartbeats(createSeededRandom(1));
  expect(many.flatMap(() => faults(message("heartbeat")))).toEqual([]);
  const delays = many.map(() => faults(message("frame")));
  expect(delays.some((one) => one.length === 0)).toBe(true);
  const repeated = delays.filter((one) => one.length === 2);
  expect(repeated.length).toBeGreaterThan(many.length / 4);
  expect(Math.max(...repeated.flat())).toBeGreaterThan(3_000);
});

it("one of two troubled buses has heartbeats", () => {
  const random = createSeededRandom(1);
  const have = many.map(() => {
    const faults = troubledBus(random);
    return Array.from({ length: 20 }, () => faults(message("heartbeat"))).some((one) => one.length > 0);
  });
  expect(have.filter(Boolean).length / many.length).toBeCloseTo(0.5, 1);
});
