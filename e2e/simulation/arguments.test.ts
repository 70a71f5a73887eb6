import { expect, it } from "vitest";
import { parseArguments } from "./arguments.ts";

it("what to simulate is read from the command line, and what makes no sense is named", () => {
  expect(parseArguments([])).toMatchObject({ first: 1, seeds: 300, seed: undefined, mutants: false });
  expect(parseArguments(["--first", "301", "--seeds", "50", "--json", "line.json"])).toMatchObject({ first: 301, seeds: 50, jsonPath: "line.json" });
  expect(parseArguments(["--seed", "17"])).toMatchObject({ first: 17, seeds: 1, seed: 17 });
  expect(() => parseArguments(["--seeds", "0"])).toThrow("--seeds must be a whole number above 0");
  expect(() => parseArguments(["--sedes", "1"])).toThrow();
});
