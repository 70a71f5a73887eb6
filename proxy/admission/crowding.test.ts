import { describe, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { Crowding } from "./crowding.ts";

/** Forty requests among 4 to 80, whose times are of `timeMs`, give or take `noise`. */
function crowdingOf(timeMs: (among: number) => number, { noise = 0, seed = 1, from = 4, to = 80 } = {}): Crowding {
  const random = createSeededRandom(seed);
  const crowding = new Crowding();
  for (let at = 0; at < 40; at++) {
    const among = from + Math.floor(((to - from) * at) / 39);
    crowding.add(among, timeMs(among) * (1 + noise * (2 * random.next() - 1)));
  }
  return crowding;
}

describe("Crowding", () => {
  test("tells requests that wait for each other from an application that is slow", () => {
    for (let seed = 1; seed <= 50; seed++) {
      expect(crowdingOf((among) => Math.max(50, (among * 50) / 8), { noise: 0.3, seed }).verdict()).toBe("waits");
      expect(crowdingOf(() => 2_000, { noise: 0.3, seed }).verdict()).toBe("alone");
    }
  });

  test("says nothing where all were among as many", () => {
    expect(crowdingOf(() => 2_000, { from: 60, to: 70 }).verdict()).toBe("unknown");
    expect(crowdingOf((among) => among * 10, { from: 60, to: 70 }).verdict()).toBe("unknown");
  });

  test("says nothing where times differ more than numbers explain, or of too few", () => {
    for (let seed = 1; seed <= 50; seed++) expect(crowdingOf((among) => (among % 3 === 0 ? 400 : 20), { noise: 0.9, seed }).verdict()).toBe("unknown");
    const crowding = crowdingOf((among) => among * 10);
    crowding.clear();
    crowding.add(1, 10);
    crowding.add(50, 500);
    expect(crowding.verdict()).toBe("unknown");
  });

  test("takes no sudden slowness among ever more for a queue", () => {
    for (const before of [1, 4, 10, 16, 30]) {
      const crowding = new Crowding();
      for (let at = 0; at < before; at++) crowding.add(8, 80);
      for (let among = 9; among < 60; among++) {
        crowding.add(among, 570);
        expect(crowding.verdict(), `${before} before, ${among - 8} after`).not.toBe("waits");
      }
    }
  });
});
