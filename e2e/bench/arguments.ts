import { parseArgs } from "node:util";
import type { BenchSettings } from "./measure.ts";
import { shapes } from "./shape.ts";
import type { Shape } from "./shape.ts";

/** What the command line asks for. */
export interface BenchArguments {
  readonly settings: BenchSettings;
  readonly shapes: readonly Shape[];
  readonly subjects: readonly string[];
  readonly jsonPath: string | undefined;
  /** Profile Atoll instead of measuring. */
  readonly profile: boolean;
  readonly help: boolean;
}

/** Of a pair's closed loops: one for what a request costs alone, the rest for what it costs among others. */
const concurrencyDefault: readonly number[] = [1, 8, 32, 128, 512];
const concurrencyQuick: readonly number[] = [1, 32];

export const usage = `npm run bench -- [options], or npm run bench -- replication [options]
  --quick              one round of half-second runs: shows that the bench works, not how fast anything is
  --shapes LIST        of ${shapes.join(",")} (all)
  --subjects LIST      of atoll,haproxy,nginx (all); ratios need haproxy, and there is no pair of nginx
  --rounds N           A-B-B-A rounds, two samples of each subject per round (5)
  --seconds N          whole seconds of each closed-loop run (4)
  --connections N      of each run (32)
  --concurrency LIST   connections of a pair's runs, one after the other (${concurrencyDefault.join(",")})
  --rate N             requests per second of the open loop (2000)
  --profile            measures nothing, and shows where Atoll's sidecar spends its time
  --json FILE          writes every sample, the machine and the commands there`;

/** Fewer pairs than this say nothing about a spread. */
const roundsDefault = 5;

/** Reads the command line. @throws Error naming what is wrong. */
export function parseArguments(args: readonly string[]): BenchArguments {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { quick: flag, help: flag, profile: flag, shapes: text, subjects: text, concurrency: text, rounds: text, seconds: text, connections: text, rate: text, json: text },
  });
  return {
    help: values.help,
    profile: values.profile,
    jsonPath: values.json,
    shapes: chosenOf("shapes", values.shapes, shapes),
    subjects: chosenOf("subjects", values.subjects, ["atoll", "haproxy", "nginx"]),
    settings: {
      quick: values.quick,
      rounds: count("rounds", values.rounds, values.quick ? 1 : roundsDefault),
      closedLoopSeconds: count("seconds", values.seconds, values.quick ? 1 : 4),
      openLoopSeconds: count("seconds", values.seconds, values.quick ? 1 : 4),
      connections: count("connections", values.connections, 32),
      concurrency: values.concurrency?.split(",").map((item) => count("concurrency", item, 1)) ?? (values.quick ? concurrencyQuick : concurrencyDefault),
      requestsPerSecond: count("rate", values.rate, values.quick ? 500 : 2000),
    },
  };
}

/** A whole number above 0. @throws Error naming the option */
export function count(name: string, value: string | undefined, fallback: number): number {
  const number = value === undefined ? fallback : Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number above 0`);
  return number;
}

/** A part of `all`, in its order. @throws Error naming what is not in it */
export function chosenOf<const T extends string>(name: string, list: string | undefined, all: readonly T[]): readonly T[] {
  if (list === undefined) return all;
  const wanted = list.split(",");
  const unknown = wanted.filter((item) => !all.some((known) => known === item));
  if (unknown.length > 0) throw new Error(`--${name} knows ${all.join(", ")}, not ${unknown.join(", ")}`);
  return all.filter((known) => wanted.includes(known));
}
