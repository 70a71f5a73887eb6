import { parseArgs } from "node:util";

/** What runs the example's programs. */
export const targets = ["processes", "docker"] as const;

/** One of `targets`. */
export type Target = (typeof targets)[number];

/** What the command line asks for. */
export interface RunArguments {
  readonly target: Target;
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

export const usage = `npm run terraform -- [options]
  --target TARGET      of ${targets.join(", ")} (${targets[0]})
  --json FILE          writes the line there, too`;

/** Reads the command line. @throws Error naming what is wrong. */
export function parseArguments(args: readonly string[]): RunArguments {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", default: false }, target: text, json: text } });
  const target = targets.find((known) => known === (values.target ?? targets[0]));
  if (target === undefined) throw new Error(`--target knows ${targets.join(", ")}, not ${values.target}`);
  return { target, jsonPath: values.json, help: values.help };
}
