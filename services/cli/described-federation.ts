import { readFileSync } from "node:fs";
import { AtollError } from "#federation/runtime/errors.ts";
import type { FederationDescription } from "#federation/model/federation-description.ts";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { formatFileFaults } from "#federation/model/parse/yaml-document.ts";

/**
 * Reads the file that describes a federation.
 * @throws {ATOLL_USAGE} when it cannot be read; {ATOLL_RESOURCE_INVALID} with file, line and column of every fault.
 */
export function readFederation(file: string): FederationDescription {
  const outcome = parseFederation(readText(file), file);
  if (outcome.kind === "faults") throw new AtollError("ATOLL_RESOURCE_INVALID", formatFileFaults(outcome.faults));
  return outcome.value;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `${file} cannot be read`, { cause });
  }
}
