import { parseArgs } from "node:util";
import { chosenOf, count } from "../bench/arguments.ts";
import { faultKinds, type FaultKind } from "./fault-plan.ts";
import type { Ground } from "./places.ts";

/** What the command line asks for. */
export interface NemesisArguments {
  readonly runs: number;
  /** Of the first run; each further one has the next. */
  readonly seed: number;
  readonly ground: Ground;
  readonly kinds: readonly FaultKind[];
  /** Bounds of how long a fault lasts, ms. */
  readonly lastsMs: readonly [min: number, max: number];
  /** How many come back at once under the fault `reconnect`. */
  readonly proxies: number;
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

const allKinds = Object.keys(faultKinds) as readonly FaultKind[];
const secondsMax = 60;
/** Some times as many, in one process, take a busy host of two processors minutes to come back. */
const proxiesDefault = 400;

export const usage = `npm run nemesis -- [options]
  --runs N             each with one to three faults at once (10)
  --seed N             of the first run; each further one has the next (1). The same seed has the same faults
  --engines etcd,nats  on real engines; else on SQLite and the embedded hub
  --members 3          of each engine; else one
  --faults LIST        only these:
${Object.entries(faultKinds).map(([kind, what]) => `    ${kind.padEnd(17)}  ${what}`).join("\n")}
  --seconds MIN,MAX    how long a fault lasts, whole seconds to ${secondsMax} (5,20)
  --proxies N          of a cluster, that come back at once (${proxiesDefault})
  --json FILE          writes the line there, too`;

/** Reads the command line. @throws Error naming what is wrong. */
export function parseArguments(args: readonly string[]): NemesisArguments {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", default: false }, runs: text, seed: text, engines: text, members: text, faults: text, seconds: text, proxies: text, json: text } });
  if (values.engines !== undefined && values.engines !== "etcd,nats") throw new Error("--engines knows etcd,nats");
  if (values.members !== undefined && (values.members !== "3" || values.engines === undefined)) throw new Error("--members knows 3, with --engines etcd,nats");
  return {
    help: values.help,
    runs: count("runs", values.runs, 10),
    seed: count("seed", values.seed, 1),
    ground: values.engines === undefined ? "embedded" : values.members === undefined ? "engines" : "members",
    kinds: chosenOf("faults", values.faults, allKinds),
    lastsMs: parseSeconds(values.seconds ?? "5,20"),
    proxies: count("proxies", values.proxies, proxiesDefault),
    jsonPath: values.json,
  };
}

function parseSeconds(text: string): readonly [number, number] {
  const [min = Number.NaN, max = Number.NaN, ...rest] = text.split(",").map(Number);
  const isRange = Number.isInteger(min) && Number.isInteger(max) && min >= 1 && min <= max && max <= secondsMax && rest.length === 0;
  if (!isRange) throw new Error(`--seconds must be two whole numbers from 1 to ${secondsMax}, the smaller first, as in 5,20`);
  return [min * 1_000, max * 1_000];
}
