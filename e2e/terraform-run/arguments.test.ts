import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("without options runs processes and writes no file", () => {
  expect(parseArguments([])).toEqual({ target: "processes", jsonPath: undefined, help: false });
});

test("takes a target and a file", () => {
  expect(parseArguments(["--json", "/tmp/line.json", "--target", "processes"])).toEqual({ target: "processes", jsonPath: "/tmp/line.json", help: false });
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--target", "aws"])).toThrow("--target knows processes, not aws");
  expect(() => parseArguments(["--region", "eu-west"])).toThrow("--region");
});
