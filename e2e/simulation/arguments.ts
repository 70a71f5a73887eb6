import { parseArgs } from "node:util";
import { count } from "../bench/arguments.ts";

/** What `npm run simulate` is asked for. */
export interface SimulateArguments {
  readonly first: number;
  readonly seeds: number;
  /** The planted bugs are looked for, each by as many seeds as it takes, instead of the seeds being run. */
  readonly mutants: boolean;
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

export const usage = `npm run simulate -- [options]
  --seeds N      runs so many seeds (300)
  --first N      beginning with this one (1)
  --seed N       runs this one alone, and prints its steps
  --mutants      puts each of the planted bugs into the product, in a process each, and looks for a seed that catches it
  --json FILE    writes the line there, too`;

/** Reads the command line. @throws Error naming what is wrong */
export function parseArguments(args: readonly string[]): SimulateArguments & { readonly seed: number | undefined } {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ args: [...args], options: { seeds: text, first: text, seed: text, json: text, mutants: flag, help: flag } });
  const seed = values.seed === undefined ? undefined : count("seed", values.seed, 1);
  return { first: seed ?? count("first", values.first, 1), seeds: seed === undefined ? count("seeds", values.seeds, 300) : 1, seed, mutants: values.mutants, jsonPath: values.json, help: values.help };
}
