import { parseArgs } from "node:util";
import { count } from "../../arguments.ts";

/** What the command line asks for. */
export interface ReplicationArguments {
  /** Of the exporting cluster. */
  readonly services: number;
  /** Made one after the other. */
  readonly changes: number;
  /** Changes a second, one load after the other. */
  readonly rates: readonly number[];
  readonly seconds: number;
  /** With it nothing else is measured: a plane that starts over so many imports. */
  readonly imports: number | undefined;
  readonly jsonPath: string | undefined;
  readonly help: boolean;
}

export const usage = `npm run bench -- replication [options]
  --quick        few services and changes: shows that the bench works, not how fast anything is
  --services N   exported by the cluster that is written to (1000)
  --changes N    made one after the other, each beside a bare put and hop (100)
  --rates LIST   changes a second, one load after the other (50,325)
  --seconds N    whole seconds of each load (10)
  --imports N    measures instead how a cluster's plane starts that imports N services, and what each of them takes
  --json FILE    writes the line there, too`;

const full = { services: 1_000, changes: 100, rates: [50, 325], seconds: 10 };
const quick = { services: 20, changes: 5, rates: [20], seconds: 1 };

/** Reads the command line. @throws Error naming what is wrong. */
export function parseReplicationArguments(args: readonly string[]): ReplicationArguments {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ args: [...args], options: { quick: flag, help: flag, services: text, changes: text, rates: text, seconds: text, imports: text, json: text } });
  const usual = values.quick ? quick : full;
  return {
    services: count("services", values.services, usual.services),
    changes: count("changes", values.changes, usual.changes),
    rates: values.rates?.split(",").map((item) => count("rates", item, 1)) ?? usual.rates,
    seconds: count("seconds", values.seconds, usual.seconds),
    imports: values.imports === undefined ? undefined : count("imports", values.imports, 1),
    jsonPath: values.json,
    help: values.help,
  };
}
