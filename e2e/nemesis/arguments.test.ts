import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";
import { faultKinds } from "./fault-plan.ts";

test("without options makes ten runs of every fault on embedded engines", () => {
  expect(parseArguments([])).toEqual({ help: false, runs: 10, seed: 1, ground: "embedded", kinds: Object.keys(faultKinds), lastsMs: [5_000, 20_000], proxies: 400, jsonPath: undefined });
});

test("takes runs, a seed, real engines, faults and bounds", () => {
  expect(parseArguments(["--runs", "3", "--seed", "7", "--engines", "etcd,nats", "--faults", "cut,kill", "--seconds", "1,2", "--proxies", "50"])).toMatchObject({ runs: 3, seed: 7, ground: "engines", kinds: ["kill", "cut"], lastsMs: [1_000, 2_000], proxies: 50 });
});

test("names what it does not know", () => {
  expect(() => parseArguments(["--faults", "rain"])).toThrow(/^--faults knows kill, freeze, .*, not rain$/);
  expect(() => parseArguments(["--engines", "sqlite"])).toThrow("--engines knows etcd,nats");
  expect(() => parseArguments(["--members", "3"])).toThrow("--members knows 3, with --engines etcd,nats");
  expect(() => parseArguments(["--engines", "etcd,nats", "--members", "2"])).toThrow("--members knows 3, with --engines etcd,nats");
  expect(() => parseArguments(["--runs", "0"])).toThrow("--runs must be a whole number above 0");
  for (const seconds of ["5", "9,5", "1,61", "1,2,3"]) expect(() => parseArguments(["--seconds", seconds])).toThrow(/^--seconds must be two whole numbers from 1 to 60/);
});
