import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("without options measures every part", () => {
  expect(parseArguments([])).toMatchObject({ quick: false, jsonPath: undefined, parts: ["app", "cpu", "hops", "recover", "amplification", "plane"], settings: { seconds: 4, stallSeconds: 5, burnSeconds: 10 } });
});

test("--quick is short, and single options win over it", () => {
  expect(parseArguments(["--quick", "--seconds", "2", "--parts", "cpu,app"])).toMatchObject({ quick: true, parts: ["app", "cpu"], settings: { seconds: 2, passes: 1 } });
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--parts", "all"])).toThrow("--parts knows app, cpu, hops, recover, amplification, plane, not all");
  expect(() => parseArguments(["--seconds", "0.5"])).toThrow("--seconds must be a whole number above 0");
});
