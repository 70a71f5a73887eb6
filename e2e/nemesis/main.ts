import { writeFileSync } from "node:fs";
import { describeError } from "#federation/runtime/errors.ts";
import { renderLine } from "../harness/render-line.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { parseArguments, usage } from "./arguments.ts";
import { canMount } from "./faults/full-disk.ts";
import { LossyDisk } from "./faults/lossy-disk.ts";
import { isClean } from "./nemesis-line.ts";
import { runSeries } from "./run-series.ts";

async function main(signal: AbortSignal): Promise<void> {
  const { help, jsonPath, ...options } = parseArguments(process.argv.slice(2));
  if (help) {
    console.log(usage);
    return;
  }
  if (options.kinds.includes("skew")) reportProgress("A skewed clock is the wall clock of a plane's program; OpenSSL and the engines keep the machine's.");
  const isDiskless = options.ground === "embedded" && !canMount();
  if (isDiskless && options.kinds.includes("full-disk")) reportProgress("No disk is filled: this host lets nobody but root mount one.");
  const isPowered = options.kinds.includes("power") && !LossyDisk.isPossible();
  if (isPowered) reportProgress("No power is lost: this host lets nobody but root mount a disk that forgets.");
  const kinds = options.kinds.filter((kind) => (kind !== "full-disk" || !isDiskless) && (kind !== "power" || !isPowered));
  const line = await runSeries({ ...options, kinds, onProgress: reportProgress, signal });
  const text = `${renderLine(line)}\n`;
  if (jsonPath !== undefined) writeFileSync(jsonPath, text);
  process.stdout.write(text);
  if (!isClean(line)) process.exitCode = 1;
}

try {
  await keepAlive(() => main(stopSignal()));
} catch (error) {
  console.error(`nemesis: ${describeError(error)}`);
  process.exitCode = 1;
}
