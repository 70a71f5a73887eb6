import { readFileSync } from "node:fs";
import { AtollError } from "#federation/runtime/errors.ts";
import { kindInfos, kinds, resourceId, type Kind, type Resource } from "#federation/model/resource.ts";
import { parseYaml, type FileResource } from "#federation/model/parse/parse-yaml.ts";
import { formatFileFaults } from "#federation/model/parse/yaml-document.ts";
import type { Planes } from "../planes.ts";

/** What became of one resource at one plane. */
export interface ApplyResult {
  readonly kind: Kind;
  readonly id: string;
  /** Cluster name, or "global". */
  readonly plane: string;
  readonly outcome: "created" | "applied" | "unchanged";
  /** Of the form that is stored now; absent after a dry run that would have written. */
  readonly revision?: number;
}

/**
 * Reads the resources of `files`, `-` meaning standard input.
 * @throws {ATOLL_RESOURCE_INVALID} with file, line and column of every fault of every file.
 */
export function readResources(files: readonly string[]): readonly FileResource[] {
  const outcomes = files.map((file) => parseYaml(readText(file), file === "-" ? "(standard input)" : file));
  const faults = outcomes.flatMap((outcome) => (outcome.kind === "faults" ? outcome.faults : []));
  if (faults.length > 0) throw new AtollError("ATOLL_RESOURCE_INVALID", formatFileFaults(faults));
  return outcomes.flatMap((outcome) => (outcome.kind === "parsed" ? outcome.resources : []));
}

/**
 * Applies `resources`, what others refer to first: those that the global plane owns there, those that clusters own
 * at every one of `clusters`. Nothing is applied when a resource has no plane to go to; with `dryRun` nothing at all, though all of it is judged.
 * @throws {ATOLL_USAGE} when a cluster's resource is there and no cluster is named.
 */
export async function applyResources(planes: Planes, resources: readonly FileResource[], clusters: readonly string[], signal: AbortSignal, dryRun = false): Promise<readonly ApplyResult[]> {
  for (const { resource, file, line } of resources) {
    const { owner } = kindInfos[resource.kind];
    const where = `${file}:${line}: ${resource.kind} ${resourceId(resource.metadata)}`;
    if (owner === "derived") throw new AtollError("ATOLL_USAGE", `${where}: the kind is derived and written by nobody`);
    if (owner === "cluster" && clusters.length === 0) throw new AtollError("ATOLL_USAGE", `${where} belongs to a cluster: say to which with --cluster (there are ${planes.clusters.join(", ")})`);
  }
  const ordered = [...resources].sort((a, b) => kinds.indexOf(a.resource.kind) - kinds.indexOf(b.resource.kind));
  const results: ApplyResult[] = [];
  for (const { resource, file, line } of ordered) {
    const targets = kindInfos[resource.kind].owner === "global" ? ["global"] : clusters;
    for (const plane of targets) results.push(await applyOne(planes, resource, plane, { where: `${file}:${line}`, dryRun }, signal));
  }
  return results;
}

async function applyOne(planes: Planes, resource: Resource, plane: string, { where, dryRun }: { readonly where: string; readonly dryRun: boolean }, signal: AbortSignal): Promise<ApplyResult> {
  const client = plane === "global" ? planes.global() : planes.cluster(plane);
  const id = resourceId(resource.metadata);
  try {
    const { resource: stored, isNew, isChanged } = await client.apply(resource, { dryRun }, signal);
    const { revision } = stored.metadata;
    return { kind: resource.kind, id, plane, outcome: isNew ? "created" : isChanged ? "applied" : "unchanged", ...(revision === undefined ? {} : { revision }) };
  } catch (error) {
    if (!(error instanceof AtollError)) throw error;
    throw new AtollError(error.code, `${where}: ${resource.kind} ${id} at ${plane}: ${error.message}`, { cause: error });
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `${file} cannot be read`, { cause });
  }
}
