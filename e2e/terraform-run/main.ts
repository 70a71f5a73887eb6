// npm run terraform -- --json FILE: the example of three regions by the real terraform, from nothing to nothing, and one line of what it took.
import { writeFileSync } from "node:fs";
import { describeError } from "#federation/runtime/errors.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { terraformOnPath } from "../harness/terraform.ts";
import { parseArguments, usage } from "./arguments.ts";
import { DockerTarget } from "./docker-target.ts";
import { measureRun } from "./measured-run.ts";
import { ProcessesTarget } from "./processes-target.ts";
import { missesOf, type RunLine } from "./run-line.ts";

async function main(signal: AbortSignal): Promise<void> {
  const { target, jsonPath, help } = parseArguments(process.argv.slice(2));
  if (help) {
    console.log(usage);
    return;
  }
  const program = terraformOnPath();
  if (program === undefined) throw new Error("there is no terraform on PATH; install Terraform 1.3 or newer (https://developer.hashicorp.com/terraform/install)");
  await using opened = target === "docker" ? await DockerTarget.open(program) : await ProcessesTarget.open(program);
  signal.throwIfAborted();
  const line: RunLine = { target, ...(await measureRun(opened, reportProgress, signal)) };
  const text = `${JSON.stringify(line)}\n`;
  if (jsonPath !== undefined) writeFileSync(jsonPath, text);
  process.stdout.write(text);
  const misses = missesOf(line);
  for (const miss of misses) reportProgress(`missed: ${miss}`);
  if (misses.length > 0) process.exitCode = 1;
}

const stop = stopSignal();
try {
  await keepAlive(() => main(stop));
} catch (error) {
  console.error(stop.aborted ? "stopped" : `terraform: ${describeError(error)}`);
  process.exitCode = stop.aborted ? 130 : 1;
}
