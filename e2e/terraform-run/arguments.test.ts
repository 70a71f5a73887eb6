import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("without options runs processes and writes no file", () => {
  expect(parseArguments([])).toEqual({ target: "processes", policies: undefined, jsonPath: undefined, help: false });
});

test("takes a target and a file", () => {
  expect(parseArguments(["--json", "/tmp/line.json", "--target", "docker"])).toEqual({ target: "docker", policies: undefined, jsonPath: "/tmp/line.json", help: false });
});

test("takes a number of policies", () => {
  expect(parseArguments(["--policies", "1000"])).toMatchObject({ policies: 1_000 });
  for (const wrong of ["0", "many", "1.5", "10001", ""]) expect(() => parseArguments(["--policies", wrong]), wrong).toThrow("--policies takes a number from 1 to 10000");
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--target", "aws"])).toThrow("--target knows processes, docker, not aws");
  expect(() => parseArguments(["--region", "eu-west"])).toThrow("--region");
});
