// npm run terraform -- --json FILE: the example of three regions by the real terraform, from nothing to nothing, and one line of what it took; with --policies N, plans of many policies instead.
import { writeFileSync } from "node:fs";
import { describeError } from "#federation/runtime/errors.ts";
import { keepAlive, reportProgress, stopSignal } from "../harness/run-measure.ts";
import { terraformOnPath } from "../harness/terraform.ts";
import { parseArguments, usage, type Target } from "./arguments.ts";
import { DockerTarget } from "./docker-target.ts";
import { measureRun } from "./measured-run.ts";
import { measurePolicies, policyMissesOf, type PoliciesLine } from "./policies-run.ts";
import { ProcessesTarget } from "./processes-target.ts";
import { missesOf, type RunLine } from "./run-line.ts";

async function main(signal: AbortSignal): Promise<void> {
  const { target, policies, jsonPath, help } = parseArguments(process.argv.slice(2));
  if (help) {
    console.log(usage);
    return;
  }
  const program = terraformOnPath();
  if (program === undefined) throw new Error("there is no terraform on PATH; install Terraform 1.3 or newer (https://developer.hashicorp.com/terraform/install)");
  const { line, misses } = policies === undefined ? await runExample(program, target, signal) : await runPolicies(program, policies);
  const text = `${JSON.stringify(line)}\n`;
  if (jsonPath !== undefined) writeFileSync(jsonPath, text);
  process.stdout.write(text);
  for (const miss of misses) reportProgress(`missed: ${miss}`);
  if (misses.length > 0) process.exitCode = 1;
}

/** A line to print, and every aim that it misses. */
interface Measured {
  readonly line: RunLine | PoliciesLine;
  readonly misses: readonly string[];
}

async function runExample(program: string, target: Target, signal: AbortSignal): Promise<Measured> {
  await using opened = target === "docker" ? await DockerTarget.open(program) : await ProcessesTarget.open(program);
  signal.throwIfAborted();
  const line: RunLine = { target, ...(await measureRun(opened, reportProgress, signal)) };
  return { line, misses: missesOf(line) };
}

async function runPolicies(program: string, count: number): Promise<Measured> {
  const line = await measurePolicies(program, count, reportProgress);
  return { line, misses: policyMissesOf(line) };
}

const stop = stopSignal();
try {
  await keepAlive(() => main(stop));
} catch (error) {
  console.error(stop.aborted ? "stopped" : `terraform: ${describeError(error)}`);
  process.exitCode = stop.aborted ? 130 : 1;
}
