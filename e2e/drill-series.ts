// node e2e/drill-series.ts --runs 10 [--engines etcd,nats]: the demo that many times in a row, each from nothing, one
// line a run. Runs in which the host stalled are printed and repeated. Ends non-zero when a run misses an aim.
import { cpSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#federation/runtime/clock.ts";
import { figuresOf, hostStallMsMax, missesOf, runDemoOnce } from "./harness/drill.ts";
import { Place } from "./harness/test-federation.ts";

/** A host that stalls more often than this in a row is no place to measure on. */
const repeatsMax = 10;

const usage = "usage: node e2e/drill-series.ts [--runs N] [--engines etcd,nats] [--keep DIRECTORY]";

interface SeriesOptions {
  readonly runs: number;
  readonly engines: boolean;
  /** Where the output of missed runs and the logs of all their processes go. */
  readonly keep: string | undefined;
}

function readArguments(args: readonly string[]): SeriesOptions {
  const { values } = parseArgs({ args: [...args], options: { runs: { type: "string", default: "10" }, engines: { type: "string" }, keep: { type: "string" } } });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error("--runs: expected a whole number from 1");
  if (values.engines !== undefined && values.engines !== "etcd,nats") throw new Error("--engines: there is etcd,nats");
  return { runs, engines: values.engines !== undefined, keep: values.keep };
}

/** Runs the series; true when every run that counts passed. */
async function runSeries(options: SeriesOptions): Promise<boolean> {
  let missed = 0;
  let repeated = 0;
  for (let run = 1; run <= options.runs; run++) {
    const startMs = systemClock.monotonicMs();
    const { outcome, line } = await runOne(options, `run-${run}-${repeated}`);
    const took = ((systemClock.monotonicMs() - startMs) / 1000).toFixed(0);
    process.stdout.write(`${`${run}/${options.runs}`.padStart(5)}  ${outcome.padEnd(8)}  ${line}, ${took} s in all\n`);
    if (outcome === "missed") missed++;
    if (outcome === "stalled") {
      repeated++;
      if (repeated > repeatsMax) {
        process.stdout.write(`The host stalled in ${repeated} runs; nothing can be measured here.\n`);
        return false;
      }
      run--;
    }
  }
  process.stdout.write(`${options.runs - missed} of ${options.runs} runs reached every aim; ${repeated} were repeated because the host stalled.\n`);
  return missed === 0;
}

async function runOne(options: SeriesOptions, name: string): Promise<{ readonly outcome: "passed" | "missed" | "stalled"; readonly line: string }> {
  using place = new Place();
  try {
    const { command, report } = await runDemoOnce(place, options.engines);
    if (report === undefined) {
      keep(options, name, place, command.stdout + command.stderr);
      return { outcome: "missed", line: `no report, exit code ${command.code}: ${command.stderr.trim().split("\n").at(-1) ?? ""}` };
    }
    const misses = missesOf(report);
    const isStalled = report.drill.hostStallMsMax > hostStallMsMax;
    if (misses.length > 0) keep(options, name, place, command.stdout + command.stderr);
    const line = figuresOf(report) + (misses.length === 0 ? "" : ` — ${misses.join("; ")}`);
    // A run that passed in spite of a stall is printed as stalled and repeated too: it was not measured on a sound host.
    return { outcome: isStalled ? "stalled" : misses.length > 0 ? "missed" : "passed", line };
  } finally {
    await place.end();
  }
}

function keep(options: SeriesOptions, name: string, place: Place, text: string): void {
  if (options.keep === undefined) return;
  const directory = join(options.keep, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "output.txt"), text);
  if (!existsSync(place.dataDir)) return;
  cpSync(place.dataDir, directory, { recursive: true, filter: (path) => path.endsWith(".log") || statSync(path).isDirectory() });
}

try {
  process.exitCode = (await runSeries(readArguments(process.argv.slice(2)))) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = 2;
}
