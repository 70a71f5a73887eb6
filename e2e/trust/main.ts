import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { allCells, runMatrix } from "./run-matrix.ts";

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "string" } } });
  const cells = allCells();
  const line = await runMatrix(cells, { nowMs: systemClock.nowMs(), onProgress: (done) => reportProgress(`${done} of ${cells.length} cells`) }, signal);
  const text = `${JSON.stringify(line)}\n`;
  if (values.json !== undefined) writeFileSync(values.json, text);
  process.stdout.write(text);
  if (line.wrongAccepts + line.wrongRefusals > 0) process.exitCode = 1;
}

try {
  await keepAlive(() => main(stopSignal()));
} catch (error) {
  console.error(`trust: ${describeError(error)}`);
  process.exitCode = 1;
}
