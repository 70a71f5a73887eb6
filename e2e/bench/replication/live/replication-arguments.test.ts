import { expect, test } from "vitest";
import { parseReplicationArguments } from "./replication-arguments.ts";

test("without options is as large as a cluster is said to be, and says what is wrong with one", () => {
  expect(parseReplicationArguments([])).toMatchObject({ services: 1_000, rates: [50, 325], help: false });
  expect(parseReplicationArguments(["--quick", "--rates", "5,10", "--json", "x"])).toMatchObject({ services: 20, rates: [5, 10], jsonPath: "x" });
  expect(parseReplicationArguments([]).imports).toBeUndefined();
  expect(parseReplicationArguments(["--imports", "100000"]).imports).toBe(100_000);
  expect(() => parseReplicationArguments(["--rates", "5,none"])).toThrow("--rates must be a whole number above 0");
});
