import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError } from "#federation/runtime/errors.ts";
import { parseArguments, usage } from "./arguments.ts";
import type { BenchArguments } from "./arguments.ts";
import { compileCache } from "../harness/compile-cache.ts";
import { keepAlive, stopSignal } from "../harness/run-measure.ts";
import { createAtollSubject } from "./atoll-subject.ts";
import { createCertificates } from "./certificates.ts";
import { haproxySubject, nginxSubject } from "./peer-subjects.ts";
import { renderProfile } from "./cpu-profile.ts";
import { measureReplication } from "./replication/live/measure-replication.ts";
import { findPins } from "./pins.ts";
import { profileShape } from "./profile-shape.ts";
import { describeMachine, renderPair, renderShape } from "./report.ts";
import type { Machine } from "./report.ts";
import type { Rig } from "./rig.ts";
import { runPair } from "./run-pair.ts";
import type { PairResult } from "./run-pair.ts";
import { runShape } from "./run-shape.ts";
import type { ShapeResult } from "./run-shape.ts";
import type { Subject } from "./subject.ts";
import { findTools } from "./tools.ts";

const home = join(import.meta.dirname, "../..");
/** As the launcher sets it: without compiled code from an earlier start a sidecar holds the compiler's memory, too. */
const environment = { NODE_COMPILE_CACHE: compileCache, ...process.env };
const subjects: readonly Subject[] = [createAtollSubject({ home, environment }), haproxySubject, nginxSubject];

/** Above this something else is running beside the bench. */
const loadBeforeMax = 0.5;

/** Where the logs of a failed run are. */
let logDirectory: string | undefined;

async function main(signal: AbortSignal): Promise<void> {
  const [first, ...others] = process.argv.slice(2);
  if (first === "replication") return await keepAlive(() => measureReplication(others, signal));
  const parsed = parseArguments(process.argv.slice(2));
  if (parsed.help) {
    console.log(usage);
    return;
  }
  const onProgress = (sentence: string): void => console.error(sentence);
  const tools = await findTools({ environment: process.env, onProgress }, signal);
  const directory = mkdtempSync(join(tmpdir(), "atoll-bench-"));
  logDirectory = directory;
  const rig: Rig = { ...findPins(process.env), directory, tools, certificates: await createCertificates(directory, signal) };
  const machine = describeMachine(rig.pins);
  console.log(`${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, Linux ${machine.kernel}, Node ${machine.node}`);
  if (!rig.pins) console.log("Not pinned: one core only, or no taskset. The figures say little.");
  if (machine.loadBefore > loadBeforeMax) console.log(`Not quiet: load average ${machine.loadBefore.toFixed(1)} before the run. Trust the ratios, not the figures, and no latency.`);
  if (parsed.settings.quick) console.log("Quick mode: one short round. The figures show that the bench works, no more.");
  if (parsed.profile) await profile(rig, parsed, signal);
  else await measure(rig, { parsed, machine, onProgress }, signal);
  // Kept on failure: the logs in it say why.
  logDirectory = undefined;
  rmSync(directory, { recursive: true, force: true });
}

interface Measuring {
  readonly parsed: BenchArguments;
  readonly machine: Machine;
  readonly onProgress: (sentence: string) => void;
}

async function measure(rig: Rig, { parsed, machine, onProgress }: Measuring, signal: AbortSignal): Promise<void> {
  const { settings } = parsed;
  const results: (ShapeResult | PairResult)[] = [];
  for (const shape of parsed.shapes) {
    const chosen = subjects.filter((subject) => parsed.subjects.includes(subject.name) && subject.shapes.includes(shape));
    if (shape === "pair") {
      const pairs = await runPair(rig, { subjects: chosen, settings, onProgress }, signal);
      results.push(...pairs);
      for (const pair of pairs) console.log(`\n${renderPair(pair)}`);
    } else {
      const result = await runShape(rig, { shape, subjects: chosen, settings, onProgress }, signal);
      results.push(result);
      console.log(`\n${renderShape(result)}`);
    }
  }
  if (parsed.jsonPath !== undefined) writeFileSync(parsed.jsonPath, `${JSON.stringify(jsonOf(parsed, machine, results), null, 2)}\n`);
}

/** Where the time of each shape's sidecar goes. */
async function profile(rig: Rig, parsed: BenchArguments, signal: AbortSignal): Promise<void> {
  for (const shape of parsed.shapes) {
    const directory = join(rig.directory, `profile-${shape}`);
    const subject = createAtollSubject({ home, environment, profileDirectory: directory });
    const summaries = await profileShape(rig, { shape, subject, settings: parsed.settings, directory, home }, signal);
    for (const [name, summary] of summaries) console.log(`\n${shape}: ${name}\n${renderProfile(summary)}`);
  }
}

function jsonOf(parsed: BenchArguments, machine: Machine, results: readonly (ShapeResult | PairResult)[]): object {
  const { settings } = parsed;
  const commands = {
    run: ["npm", "run", "bench", "--", ...process.argv.slice(2)].join(" "),
    closedLoop: `taskset -c 0 wrk -t1 --latency -c${settings.connections} (a pair: -c${settings.concurrency.join(", -c")}) -d${settings.closedLoopSeconds}s -H "Host: …" http://127.0.0.1:PORT/bench`,
    openLoop: `taskset -c 0 node e2e/bench/open-loop-main.ts (${settings.requestsPerSecond}/s for ${settings.openLoopSeconds} s)`,
    subjects: "taskset -c 1",
  };
  return { format: 1, machine, settings, commands, results };
}

const stop = stopSignal();
try {
  await main(stop);
} catch (error) {
  console.error(`bench: ${describeError(error)}${logDirectory === undefined ? "" : `; logs are in ${logDirectory}`}`);
  process.exitCode = 1;
}
