// node e2e/drill-series.ts --runs 10 [--engines etcd,nats] [--burners 2]: the demo that many times in a row, each from nothing,
// one line a run. With burners, that many busy loops run beside it all the time. Ends non-zero when a run misses an aim.
import { cpSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#federation/runtime/clock.ts";
import { Burners } from "./harness/burners.ts";
import { figuresOf, missesOf, runDemoOnce, shiftMsMax } from "./harness/drill.ts";
import { stopSignal } from "./harness/run-measure.ts";
import { Place } from "./harness/test-federation.ts";

const usage = "usage: node e2e/drill-series.ts [--runs N] [--engines etcd,nats] [--burners N] [--keep DIRECTORY]";
const burnersMax = 256;

interface SeriesOptions {
  readonly runs: number;
  readonly engines: boolean;
  /** Busy loops at normal priority beside every run. */
  readonly burners: number;
  /** Where the output of missed runs and the logs of all their processes go. */
  readonly keep: string | undefined;
}

function readArguments(args: readonly string[]): SeriesOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { runs: { type: "string", default: "10" }, engines: { type: "string" }, burners: { type: "string", default: "0" }, keep: { type: "string" } },
  });
  const runs = Number(values.runs);
  const burners = Number(values.burners);
  if (!Number.isInteger(runs) || runs < 1) throw new Error("--runs: expected a whole number from 1");
  if (!Number.isInteger(burners) || burners < 0 || burners > burnersMax) throw new Error(`--burners: expected a whole number from 0 to ${burnersMax}`);
  if (values.engines !== undefined && values.engines !== "etcd,nats") throw new Error("--engines: there is etcd,nats");
  return { runs, engines: values.engines !== undefined, burners, keep: values.keep };
}

/** Runs the series; true when every run passed. `signal` ends it, and what the present run has started. */
async function runSeries(options: SeriesOptions, signal: AbortSignal): Promise<boolean> {
  using _ = Burners.start(options.burners);
  let missed = 0;
  for (let run = 1; run <= options.runs; run++) {
    const startMs = systemClock.monotonicMs();
    const { isPassed, line } = await runOne(options, `run-${run}`, signal);
    const took = ((systemClock.monotonicMs() - startMs) / 1000).toFixed(0);
    process.stdout.write(`${`${run}/${options.runs}`.padStart(5)}  ${isPassed ? "passed" : "missed"}  ${line}, ${took} s in all\n`);
    if (!isPassed) missed++;
  }
  const beside = options.burners === 0 ? "" : ` beside ${options.burners} busy loops`;
  process.stdout.write(`${options.runs - missed} of ${options.runs} runs${beside} reached every aim.\n`);
  return missed === 0;
}

async function runOne(options: SeriesOptions, name: string, signal: AbortSignal): Promise<{ readonly isPassed: boolean; readonly line: string }> {
  using place = new Place();
  try {
    const { command, report } = await runDemoOnce(place, options.engines, signal);
    signal.throwIfAborted();
    if (report === undefined) {
      keep(options, name, place, command.stdout + command.stderr);
      return { isPassed: false, line: `no report, exit code ${command.code}: ${command.stderr.trim().split("\n").at(-1) ?? ""}` };
    }
    const misses = missesOf(report, options.burners === 0 ? shiftMsMax.quiet : shiftMsMax.busy);
    if (misses.length > 0) keep(options, name, place, command.stdout + command.stderr);
    return { isPassed: misses.length === 0, line: figuresOf(report) + (misses.length === 0 ? "" : ` — ${misses.join("; ")}`) };
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

const stop = stopSignal();
try {
  process.exitCode = (await runSeries(readArguments(process.argv.slice(2)), stop)) ? 0 : 1;
} catch (error) {
  process.stderr.write(stop.aborted ? "stopped\n" : `${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = stop.aborted ? 130 : 2;
}
