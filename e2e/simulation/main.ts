import { writeFileSync } from "node:fs";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { parseArguments, usage } from "./arguments.ts";
import { describeMutant, describeMutants, isCaught } from "./mutants/mutant-result.ts";
import { runMutants } from "./mutants/run-mutants.ts";
import { operationsOf } from "./operations.ts";
import { runSeeds } from "./run-seeds.ts";

async function main(signal: AbortSignal): Promise<void> {
  const { help, first, seeds, seed, mutants, jsonPath } = parseArguments(process.argv.slice(2));
  if (help) {
    console.log(usage);
    return;
  }
  if (mutants) {
    const results = await runMutants({ seeds: Array.from({ length: seeds }, (_, at) => first + at), onResult: (result) => reportProgress(describeMutant(result)) }, signal);
    if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(results)}\n`);
    console.log(describeMutants(results));
    if (!results.every(isCaught)) process.exitCode = 1;
    return;
  }
  if (seed !== undefined) for (const [at, operation] of operationsOf(createSeededRandom(seed)).entries()) reportProgress(`step ${at}: ${JSON.stringify(operation)}`);
  const line = await runSeeds(first, seeds, (failed) => reportProgress(`seed ${failed.seed}: ${failed.violations.join("; ")}\n  again: npm run simulate -- --seed ${failed.seed}`), signal);
  const text = `${JSON.stringify(line)}\n`;
  if (jsonPath !== undefined) writeFileSync(jsonPath, text);
  process.stdout.write(text);
  if (line.failed.length > 0) process.exitCode = 1;
}

try {
  await keepAlive(() => main(stopSignal()));
} catch (error) {
  console.error(`simulate: ${describeError(error)}`);
  process.exitCode = 1;
}
