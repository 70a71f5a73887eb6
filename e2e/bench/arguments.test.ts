import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("without options measures everything in at least five rounds", () => {
  const parsed = parseArguments([]);
  expect(parsed.shapes).toEqual(["http", "mtls-out", "mtls-in", "pair"]);
  expect(parsed.settings.concurrency).toEqual([1, 8, 32, 128, 512]);
  expect(parsed.settings.rounds).toBeGreaterThanOrEqual(5);
  expect(parsed.jsonPath).toBeUndefined();
});

test("--quick is short, and single options win over it", () => {
  expect(parseArguments(["--quick", "--rounds", "2"]).settings).toMatchObject({ quick: true, rounds: 2, closedLoopSeconds: 1 });
});

test("a pair is measured at the concurrencies that are asked for", () => {
  expect(parseArguments(["--shapes", "pair", "--concurrency", "1,32,128"])).toMatchObject({ shapes: ["pair"], settings: { concurrency: [1, 32, 128] } });
  expect(() => parseArguments(["--concurrency", "1,none"])).toThrow("--concurrency must be a whole number above 0");
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--shapes", "http,quic"])).toThrow("--shapes knows http, mtls-out, mtls-in, pair, not quic");
  expect(() => parseArguments(["--rounds", "0"])).toThrow("--rounds must be a whole number above 0");
  expect(() => parseArguments(["--fast"])).toThrow("--fast");
});
