import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("without options runs processes and writes no file", () => {
  expect(parseArguments([])).toEqual({ target: "processes", jsonPath: undefined, help: false });
});

test("takes a target and a file", () => {
  expect(parseArguments(["--json", "/tmp/line.json", "--target", "docker"])).toEqual({ target: "docker", jsonPath: "/tmp/line.json", help: false });
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--target", "aws"])).toThrow("--target knows processes, docker, not aws");
  expect(() => parseArguments(["--region", "eu-west"])).toThrow("--region");
});
