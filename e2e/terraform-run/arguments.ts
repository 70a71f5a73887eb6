import { parseArgs } from "node:util";

/** What runs the example's programs. */
export const targets = ["processes", "docker"] as const;

/** One of `targets`. */
export type Target = (typeof targets)[number];

/** What the command line asks for. */
export interface RunArguments {
  readonly target: Target;
  /** So many policies are planned and applied, instead of the example. */
  readonly policies: number | undefined;
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

/** Beyond it Terraform itself takes minutes. */
const policiesMax = 10_000;

export const usage = `npm run terraform -- [options]
  --target TARGET      of ${targets.join(", ")} (${targets[0]})
  --policies N         plans and applies so many policies, up to ${policiesMax}, instead of the example
  --json FILE          writes the line there, too`;

/** Reads the command line. @throws Error naming what is wrong. */
export function parseArguments(args: readonly string[]): RunArguments {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", default: false }, target: text, policies: text, json: text } });
  const target = targets.find((known) => known === (values.target ?? targets[0]));
  if (target === undefined) throw new Error(`--target knows ${targets.join(", ")}, not ${values.target}`);
  const policies = values.policies === undefined ? undefined : Number(values.policies);
  if (policies !== undefined && !(Number.isInteger(policies) && policies >= 1 && policies <= policiesMax)) throw new Error(`--policies takes a number from 1 to ${policiesMax}, not ${values.policies}`);
  return { target, policies, jsonPath: values.json, help: values.help };
}
