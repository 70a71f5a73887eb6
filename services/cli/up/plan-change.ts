import { kinds, resourceId, type Kind } from "#federation/model/resource.ts";
import type { FederationPlan } from "./federation-plan.ts";
import type { PlannedProcess } from "./planned-process.ts";
import { placeFiles, serviceFiles, type PlannedResource } from "./resource-files.ts";
import type { Topology } from "./topology.ts";

/** What an edit of a federation's file means for its processes. */
export interface ProcessChange {
  /** Names of processes that are not wanted any more. */
  readonly removed: readonly string[];
  /** Names of processes that run with another configuration from now on. */
  readonly restarted: readonly string[];
  /** What cannot be changed while the federation runs, in words; empty for most edits. */
  readonly needsDown: readonly string[];
}

/** A resource at one plane. */
export interface PlacedResource {
  /** Cluster name, or "global". */
  readonly plane: string;
  readonly kind: Kind;
  readonly path: { readonly namespace?: string; readonly name: string };
}

/** Which resources an edit touches, at which plane. */
export interface ResourceChange {
  isChanged(plane: string, resource: Pick<PlannedResource, "kind" | "metadata">): boolean;
  /** In the order in which they may go: who refers to others first. */
  readonly deleted: readonly PlacedResource[];
  readonly relationships: FederationPlan["relationships"];
  readonly isEmpty: boolean;
}

/** A sidecar, an application or the users may be restarted by themselves; everybody rests on the others. */
const restartable: readonly string[] = ["sidecar", "app", "users"];

/** What becomes of the processes of `before` when `after` is wanted. Pure. */
export function compareProcesses(before: Topology, after: Topology): ProcessChange {
  const wanted = new Map(after.processes.map((planned) => [planned.spec.name, planned]));
  const removed: string[] = [];
  const restarted: string[] = [];
  const needsDown: string[] = [];
  for (const old of before.processes) {
    const { name, kind } = old.spec;
    const now = wanted.get(name);
    if (now !== undefined && sameProcess(old, now)) continue;
    if (!restartable.includes(kind)) needsDown.push(now === undefined ? `${name} is not wanted any more` : `${name} is to run with another configuration`);
    else if (now === undefined) removed.push(name);
    else restarted.push(name);
  }
  return { removed, restarted, needsDown };
}

function sameProcess(a: PlannedProcess, b: PlannedProcess): boolean {
  return JSON.stringify([a.spec, a.config, a.configText]) === JSON.stringify([b.spec, b.config, b.configText]);
}

/**
 * What an edit may not change at all, in words: planes hold keys that were made for their trust domain, region and role,
 * so another one of these is another cluster. Pure.
 */
export function changedForLife(before: FederationPlan, after: FederationPlan): readonly string[] {
  return before.clusters.flatMap((old) => {
    const now = after.clusters.find(({ name }) => name === old.name);
    if (now === undefined) return [];
    return [
      ...(now.trustDomain === old.trustDomain ? [] : [`${old.name} is of ${old.trustDomain}, not of ${now.trustDomain}`]),
      ...(now.region === old.region ? [] : [`${old.name} is in ${old.region}, not in ${now.region}`]),
      ...(now.isSigner === old.isSigner || now.trustDomain !== old.trustDomain ? [] : [`${old.name} is ${old.isSigner ? "the" : "not the"} signer of ${old.trustDomain}`]),
    ];
  });
}

/** What becomes of the resources; without `before`, everything is new. Pure. */
export function compareResources(before: Topology | undefined, after: Topology): ResourceChange {
  const old = before === undefined ? new Map<string, PlacedText>() : resourcesOf(before);
  const now = resourcesOf(after);
  const deleted = [...old].filter(([key]) => !now.has(key)).map(([, { plane, kind, path }]) => ({ plane, kind, path }));
  const oldRelationships = before?.plan.relationships ?? [];
  const relationships = after.plan.relationships.filter((one) => JSON.stringify(one) !== JSON.stringify(oldRelationships.find(({ name }) => name === one.name)));
  const gone = oldRelationships.filter(({ name }) => !after.plan.relationships.some((one) => one.name === name)).map(({ name }) => ({ plane: "global", kind: "Relationship", path: { name } }) as const);
  const clusters = new Set(after.plan.clusters.map(({ name }) => name));
  // A cluster that is gone takes what was said to it along.
  const reachable = [...deleted, ...gone].filter(({ plane }) => plane === "global" || clusters.has(plane));
  const isChanged: ResourceChange["isChanged"] = (plane, resource) => old.get(keyOf(plane, resource))?.text !== now.get(keyOf(plane, resource))?.text;
  return {
    isChanged,
    deleted: reachable.sort((a, b) => kinds.indexOf(b.kind) - kinds.indexOf(a.kind)),
    relationships,
    isEmpty: reachable.length === 0 && relationships.length === 0 && [...now.values()].every(({ plane, resource }) => !isChanged(plane, resource)),
  };
}

interface PlacedText extends PlacedResource {
  readonly resource: PlannedResource;
  readonly text: string;
}

function resourcesOf({ plan, addresses }: Topology): Map<string, PlacedText> {
  const found = new Map<string, PlacedText>();
  for (const { target, resources } of [...placeFiles(plan, addresses), ...serviceFiles(plan)]) {
    for (const plane of target.kind === "global" ? ["global"] : target.clusters) {
      for (const resource of resources) {
        found.set(keyOf(plane, resource), { plane, kind: resource.kind as Kind, path: resource.metadata, resource, text: JSON.stringify(resource) });
      }
    }
  }
  return found;
}

function keyOf(plane: string, resource: Pick<PlannedResource, "kind" | "metadata">): string {
  return `${plane} ${resource.kind} ${resourceId(resource.metadata)}`;
}
