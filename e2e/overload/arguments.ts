import { parseArgs } from "node:util";
import { chosenOf, count } from "../bench/arguments.ts";

/** What can be measured by itself. */
export const parts = ["app", "cpu", "hops", "recover", "amplification", "plane"] as const;

/** One of `parts`. */
export type Part = (typeof parts)[number];

/** How long and how often everything is. */
export interface OverloadSettings {
  /** Of each measured window. */
  readonly seconds: number;
  /** Before each, at its rate. */
  readonly settleSeconds: number;
  /** How often each multiple of the knee is measured; every other time in the opposite order. */
  readonly passes: number;
  readonly rampStepSeconds: number;
  readonly kneeSeconds: number;
  readonly halvings: number;
  /** Before a trigger, to know what is normal. */
  readonly beforeSeconds: number;
  readonly stallSeconds: number;
  readonly burnSeconds: number;
  /** After a trigger. What is not normal by then counts as this long. */
  readonly observeSeconds: number;
  readonly signal: AbortSignal;
}

/** What the command line asks for. */
export interface OverloadArguments {
  readonly settings: Omit<OverloadSettings, "signal">;
  readonly quick: boolean;
  readonly parts: readonly Part[];
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

export const usage = `npm run overload -- [options]
  --quick              everything once and short: shows that the measure works, not what it measures
  --parts LIST         of ${parts.join(",")} (all); the line has null for what was not measured
  --seconds N          whole seconds of each measured window (4)
  --json FILE          writes the line there, too`;

const full = { settleSeconds: 1.5, passes: 2, rampStepSeconds: 0.6, kneeSeconds: 1.5, halvings: 3, beforeSeconds: 4, stallSeconds: 5, burnSeconds: 10, observeSeconds: 10 };
const quick = { settleSeconds: 0.3, passes: 1, rampStepSeconds: 0.3, kneeSeconds: 0.5, halvings: 1, beforeSeconds: 2, stallSeconds: 1, burnSeconds: 1, observeSeconds: 3 };

/** Reads the command line. @throws Error naming what is wrong. */
export function parseArguments(args: readonly string[]): OverloadArguments {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ args: [...args], options: { quick: flag, help: flag, parts: text, seconds: text, json: text } });
  return {
    help: values.help,
    quick: values.quick,
    jsonPath: values.json,
    parts: chosenOf("parts", values.parts, parts),
    settings: { ...(values.quick ? quick : full), seconds: count("seconds", values.seconds, values.quick ? 1 : 4) },
  };
}
