import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { isObject, requiredText, textOf, type CtyObject, type CtyValue } from "../cty/values.ts";
import { attribute, errorAt } from "../diagnostics.ts";
import type { ManagedResource, Remembered } from "../managed.ts";
import type { Environment } from "../planes.ts";
import type { Diagnostic } from "../protocol/messages.ts";
import type { Schema } from "../schema/to-proto.ts";
import { runUnit, type Unit } from "./run-unit.ts";

/** How long one run of a unit's program may take: unless told, and at most. */
const timeoutSeconds = { usual: 300, max: 3_600 } as const;

const schema: Schema = {
  description:
    "Something that runs on Terraform's own machine, kept by a program with the words of an init script as its last argument: `start` (has it running, and is no fault when it is), `status` (exit code 0: it runs, 3: it does not), `stop` (leaves nothing, and is no fault when there is nothing). A refresh asks for `status`, so that a plan finds what has gone and the next apply starts it again. Of the environment everything stands in the state: secrets belong into files.",
  attributes: [
    { name: "name", field: "name", type: { kind: "string" }, use: "required", description: "By which messages speak of it." },
    { name: "program", field: "program", type: { kind: "list", of: "string" }, use: "required", description: "The program and its first arguments. A change is remembered and runs nothing." },
    { name: "environment", field: "environment", type: { kind: "map", of: "string" }, use: "optional", description: "Variables for the program, besides those of Terraform. A change runs `start` again." },
    { name: "triggers", field: "triggers", type: { kind: "map", of: "string" }, use: "optional", description: "A change stops it and starts it anew." },
    { name: "timeout_seconds", field: "timeoutSeconds", type: { kind: "number" }, use: "optional", description: "Bound of one run of the program, from 1 to 3600. 300 unless given." },
    { name: "id", field: "id", type: { kind: "string" }, use: "computed", description: "The name." },
    { name: "instance", field: "instance", type: { kind: "string" }, use: "computed", description: "Another one each time it is started anew: in the `triggers` of what rests on it, it has that started anew, too." },
  ],
};

/** `atoll_local_unit`. It asks no plane, so that it can start the very planes that other resources need. */
export const localUnit: ManagedResource = {
  schema,
  isLocal: true,
  replace: ["name", "triggers"],
  changing: [],
  validate,
  async create(planned, { environment }, signal) {
    const unit = unitOf(planned, environment);
    try {
      await runUnit(unit, "start", systemClock, signal);
    } catch (error) {
      await stopHalfStarted(unit, error);
    }
    return remembered(planned, unit, randomUUID());
  },
  async update({ prior, planned }, { environment }, signal) {
    const unit = unitOf(planned, environment);
    if (!isDeepStrictEqual(variablesOf(prior), variablesOf(planned))) await runUnit(unit, "start", systemClock, signal);
    return remembered(planned, unit, textOf(prior["instance"]) ?? null);
  },
  async remove(prior, _memory, { environment }, signal) {
    await runUnit(unitOf(prior, environment), "stop", systemClock, signal);
  },
  async read(state, { environment }, signal) {
    return (await runUnit(unitOf(state, environment), "status", systemClock, signal)) ? { state, memory: {} } : undefined;
  },
  import: () => undefined,
};

/** A start that failed leaves nothing behind, since no state says that there is anything. @throws what the start failed by */
async function stopHalfStarted(unit: Unit, failure: unknown): Promise<never> {
  try {
    // By a signal of its own: what was interrupted has to be cleared away, too.
    await runUnit(unit, "stop", systemClock, new AbortController().signal);
  } catch (error) {
    throw new AtollError("ATOLL_PROCESS_FAILED", `${describeError(failure)}\nand what it had started is still there: ${describeError(error)}`, { cause: failure, details: { attribute: "program" } });
  }
  throw failure;
}

function validate({ program, timeout_seconds: timeout }: CtyObject): readonly Diagnostic[] {
  const faults: Diagnostic[] = [];
  if (Array.isArray(program) && (program.length === 0 || program[0] === "")) faults.push(errorAt(attribute("program"), "The unit cannot be used so.", "Found no program, expected one and its first arguments."));
  if (typeof timeout === "number" && !(timeout >= 1 && timeout <= timeoutSeconds.max)) faults.push(errorAt(attribute("timeout_seconds"), "The unit cannot be used so.", `Found ${timeout}, expected seconds from 1 to ${timeoutSeconds.max}.`));
  return faults;
}

function unitOf(state: CtyObject, environment: Environment): Unit {
  const { program, timeout_seconds: timeout } = state;
  return {
    name: requiredText(state, "name"),
    program: Array.isArray(program) ? program.flatMap((word: CtyValue) => textOf(word) ?? []) : [],
    environment: { ...environment, ...variablesOf(state) },
    timeoutMs: (typeof timeout === "number" ? timeout : timeoutSeconds.usual) * 1_000,
  };
}

function variablesOf({ environment }: CtyObject): Readonly<Record<string, string>> {
  if (!isObject(environment)) return {};
  return Object.fromEntries(Object.entries(environment).flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : [])));
}

function remembered(planned: CtyObject, { name }: Unit, instance: string | null): Remembered {
  return { state: { ...planned, id: name, instance }, memory: {} };
}
