import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import type { FederationDescription } from "#federation/model/federation-description.ts";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { formatFileFaults } from "#federation/model/parse/yaml-document.ts";
import { localPlanOf } from "./up/described-plan.ts";
import type { FederationPlan } from "./up/federation-plan.ts";

/**
 * Reads the file that describes a federation.
 * @throws {ATOLL_USAGE} when it cannot be read; {ATOLL_RESOURCE_INVALID} with file, line and column of every fault.
 */
export function readFederation(file: string): FederationDescription {
  const outcome = parseFederation(readText(file), file);
  if (outcome.kind === "faults") throw new AtollError("ATOLL_RESOURCE_INVALID", formatFileFaults(outcome.faults));
  return outcome.value;
}

/**
 * The plan of a file's federation on this machine.
 * @throws {ATOLL_USAGE} for a command whose directory is not there: the system would say that the program is missing; and what `localPlanOf` throws.
 */
export function readLocalPlan(description: FederationDescription, source: string): FederationPlan {
  const plan = localPlanOf(description, dirname(source));
  for (const { namespace, service, app } of plan.workloads) {
    if (app.kind !== "command" || statSync(app.directory, { throwIfNoEntry: false })?.isDirectory() === true) continue;
    throw new AtollError("ATOLL_USAGE", `${source}: the command of ${namespace}/${service} is to run in ${app.directory}, which is no directory`);
  }
  return plan;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `${file} cannot be read`, { cause });
  }
}
