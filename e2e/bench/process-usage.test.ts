import { expect, test } from "vitest";
import { parseStat, readTreeUsage } from "./process-usage.ts";

test("reads past a name with spaces and parentheses", () => {
  const line = "4242 (a) b (c)) S 17 4242 4242 0 -1 4194304 100 0 0 0 250 50 3 4 20 0 1 0 12345 1000000 512 18446744073709551615 1 1 0";
  expect(parseStat(line)).toEqual({ pid: 4242, parent: 17, cpuTicks: 307, residentPages: 512 });
});

test("refuses what is no such line", () => {
  expect(parseStat("")).toBeUndefined();
  expect(parseStat("12 (cut")).toBeUndefined();
});

test.runIf(process.platform === "linux")("sees this very process", () => {
  expect(readTreeUsage(process.pid).residentBytes).toBeGreaterThan(1_000_000);
});
