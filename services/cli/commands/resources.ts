import { stringify } from "yaml";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { kindInfos, resourceId, type Condition, type Kind, type Resource } from "#federation/model/resource.ts";
import { globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ResourcePath } from "#federation/admin-api/resource-path.ts";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import type { CommandContext } from "../context.ts";
import { printData, printRows } from "../output.ts";
import type { Column } from "../table.ts";
import type { Planes } from "../planes.ts";
import { applyResources, readResources, type ApplyResult } from "../up/apply.ts";
import { withFederation } from "./federation.ts";
import { instanceWords } from "./instance-words.ts";
import { parseKindName, pathFor } from "./kind-names.ts";
import { owningPlanes } from "./owning-planes.ts";
import { Patience } from "./patience.ts";
import { findPolicyFaults, policyWords, type PolicyFinding } from "./policy-references.ts";
import { awaitRollouts, type WaitOption } from "./wait.ts";

/** `--cluster`, as often as given. */
export interface ClusterOption {
  readonly cluster?: readonly string[];
}

/** `--dry-run`: the planes judge all of it and write nothing. */
export interface DryRunOption {
  readonly dryRun: boolean;
}

/** `--strict`: nothing is written that names what is not there. */
export interface StrictOption {
  readonly strict: boolean;
}

/** `atoll apply -f FILE …`. */
export async function runApply(context: CommandContext, options: { readonly file: readonly string[] } & ClusterOption & DryRunOption & StrictOption & WaitOption): Promise<number> {
  const { dryRun, strict, wait, timeout } = options;
  checkWait(options);
  const resources = readResources(options.file);
  return await withFederation(context, async ({ planes }) => {
    const findings = await referenceFindings(context, planes, resources.map(({ resource }) => resource), strict);
    if (strict && findings.length > 0) throw new AtollError("ATOLL_REFERENCES_UNRESOLVED", findings.map(policyWords).join("\n"));
    const results = await applyResources(planes, resources, options.cluster ?? [], context.signal, dryRun);
    // With --wait, programs are given one document, which says how far the writes have come.
    if (!wait || context.output === "table") printApplied(context, results, findings);
    for (const finding of findings) context.terminal.note(`${context.terminal.paint.warn("warning")}  ${policyWords(finding)}`);
    if (dryRun) context.terminal.note("A dry run: nothing was written.");
    if (!wait) return 0;
    const writes = results.map(({ kind, id, plane, outcome, revision }) => ({ kind, path: pathFor(kind, id), plane, deleted: false, ...(revision === undefined ? {} : { revision }), outcome }));
    return await awaitRollouts(context, planes, writes, timeout);
  });
}

/** What policies among `resources` refer to in vain. What cannot be asked keeps nothing from being applied, unless it has to be known. */
async function referenceFindings({ terminal, signal }: CommandContext, planes: Planes, resources: readonly Resource[], mustKnow: boolean): Promise<readonly PolicyFinding[]> {
  if (!resources.some(({ kind }) => kind === "TrafficPolicy")) return [];
  try {
    const { body } = await planes.global().call(globalRoutes.status, {}, signal);
    return await findPolicyFaults(planes, { services: body.services, applied: resources }, signal);
  } catch (error) {
    if (mustKnow || !isAtollError(error)) throw error;
    terminal.note(`${terminal.paint.warn("warning")}  whether all that the policies name exists is not known: ${describeError(error)}`);
    return [];
  }
}

/** @throws {ATOLL_USAGE} where there is nothing to wait for, or no wait. */
function checkWait({ dryRun, wait, timeout }: DryRunOption & WaitOption): void {
  if (dryRun && wait) throw new AtollError("ATOLL_USAGE", "--wait with --dry-run: a dry run writes nothing that could be waited for");
  if (timeout !== undefined && !wait) throw new AtollError("ATOLL_USAGE", "--timeout is for --wait");
}

function printApplied(context: CommandContext, results: readonly ApplyResult[], findings: readonly PolicyFinding[]): void {
  const columns: readonly Column<ApplyResult>[] = [
    { title: "KIND", value: (row) => row.kind },
    { title: "NAME", value: (row) => row.id },
    { title: "AT", value: (row) => row.plane },
    { title: "OUTCOME", value: (row) => row.outcome },
  ];
  const faultsOf = ({ kind, id }: ApplyResult): readonly PolicyFinding[] => findings.filter(({ policy }) => kind === "TrafficPolicy" && policy === id);
  const data = results.map((result) => ({ ...result, ...(faultsOf(result).length === 0 ? {} : { findings: faultsOf(result).map(({ reason, message }) => ({ reason, message })) }) }));
  printRows(context, results, columns, data);
}

interface Found {
  readonly plane: string;
  readonly resource: Resource;
}

/** `atoll get KIND [NAME]`. */
export async function runGet(context: CommandContext, kindText: string, name: string | undefined, options: ClusterOption): Promise<number> {
  const kind = parseKindName(kindText);
  const { found, silent } = await find(context, kind, name, options);
  const columns: readonly Column<Found>[] = [
    { title: "NAME", value: ({ resource }) => resourceId(resource.metadata) },
    ...(kindInfos[kind].owner === "global" ? [] : [{ title: "CLUSTER", value: ({ plane }: Found) => plane }]),
    { title: "GENERATION", value: ({ resource }) => String(resource.metadata.generation ?? "-"), align: "right" as const },
    { title: "AGE", value: ({ resource }) => (resource.metadata.createdAt === undefined ? "-" : describeAge(context.terminal.clock.nowMs() - Date.parse(resource.metadata.createdAt))), align: "right" as const },
    { title: "WHAT", value: ({ resource }) => describeSpec(resource) },
  ];
  const data = name !== undefined && found.length === 1 ? found[0]?.resource : found.map(({ resource }) => resource);
  printRows(context, found, columns, data);
  return noteSilent(context, silent);
}

/** `atoll describe KIND NAME`: everything of it, as YAML, with its conditions in words. */
export async function runDescribe(context: CommandContext, kindText: string, name: string, options: ClusterOption): Promise<number> {
  const kind = parseKindName(kindText);
  const { found, silent } = await find(context, kind, name, options);
  if (printData(context, found.map(({ resource }) => resource))) return 0;
  for (const { plane, resource } of found) {
    context.terminal.print(context.terminal.paint.bold(`${kind} ${resourceId(resource.metadata)}, at ${plane}`));
    context.terminal.print(stringify({ metadata: resource.metadata, spec: resource.spec }).trimEnd());
    const { conditions = [], ...rest } = readStatus(resource);
    if (Object.keys(rest).length > 0) context.terminal.print(stringify({ status: rest }).trimEnd());
    for (const condition of conditions) context.terminal.print(`${condition.type}: ${condition.status} (${condition.reason}) ${condition.message}`);
  }
  return noteSilent(context, silent);
}

/** `atoll delete KIND NAME`. */
export async function runDelete(context: CommandContext, kindText: string, name: string, options: ClusterOption & DryRunOption & WaitOption): Promise<number> {
  const { dryRun, wait, timeout } = options;
  checkWait(options);
  const kind = parseKindName(kindText);
  const targets = owningPlanes(kind, options.cluster ?? [], "delete what it comes from");
  const path = pathFor(kind, name);
  return await withFederation(context, async ({ planes }) => {
    for (const plane of targets) {
      await planes.plane(plane).remove(kind, path, { dryRun }, context.signal);
      if (context.output === "table") context.terminal.print(`${kind} ${name} ${dryRun ? "would be deleted" : "deleted"} at ${plane}`);
    }
    // With --wait, programs are given one document, which says who is rid of it.
    if (wait) return await awaitRollouts(context, planes, targets.map((plane) => ({ kind, path, plane, deleted: true, outcome: "deleted" })), timeout);
    printData(context, { [dryRun ? "wouldDelete" : "deleted"]: name, kind });
    return 0;
  });
}

/** The status as any kind may have it. */
function readStatus(resource: Resource): { readonly conditions?: readonly Condition[] } {
  return resource.status ?? {};
}

async function find(context: CommandContext, kind: Kind, name: string | undefined, options: ClusterOption): Promise<{ readonly found: readonly Found[]; readonly silent: readonly string[] }> {
  const path = name === undefined ? undefined : pathFor(kind, name);
  return await withFederation(context, async ({ planes }) => {
    const targets = options.cluster ?? (kindInfos[kind].owner === "global" ? ["global"] : planes.clusters);
    using patience = new Patience(context.terminal.clock, context.signal);
    const asked = await Promise.all(targets.map(async (plane) => [plane, await patience.ask((signal) => read(planes.plane(plane), kind, path, signal))] as const));
    const found = asked.flatMap(([plane, answer]) => (answer.kind === "answer" ? answer.value.map((resource) => ({ plane, resource })) : []));
    const failures = asked.flatMap(([plane, answer]) => (answer.kind === "failed" && !isAtollError(answer.error, "ATOLL_NOT_FOUND") ? [{ plane, error: answer.error }] : []));
    const [first] = failures;
    if (found.length === 0 && first !== undefined) throw first.error;
    if (found.length === 0 && name !== undefined) throw new AtollError("ATOLL_NOT_FOUND", `there is no ${kind} ${name}${targets.length > 1 ? ` in ${targets.join(", ")}` : ""}`);
    return { found, silent: failures.map(({ plane, error }) => `${plane}: ${describeError(error)}`) };
  });
}

async function read(client: AdminClient, kind: Kind, path: ResourcePath | undefined, signal: AbortSignal): Promise<readonly Resource[]> {
  return path === undefined ? await client.list(kind, {}, signal) : [await client.get(kind, path, signal)];
}

function noteSilent(context: CommandContext, silent: readonly string[]): number {
  for (const line of silent) context.terminal.note(`${context.terminal.paint.warn("no answer")}  ${line}`);
  return silent.length === 0 ? 0 : 1;
}

function describeSpec(resource: Resource): string {
  switch (resource.kind) {
    case "Region":
      return resource.spec.displayName ?? "";
    case "Cluster":
      return `${resource.spec.region}, ${resource.spec.trustDomain}, ${resource.spec.gateways.length} gateway addresses`;
    case "TrustDomain":
      return `bundle of ${resource.spec.bundle.length} characters, signed by its authority`;
    case "Relationship":
      return `${resource.spec.caller.trustDomain} → ${resource.spec.callee.services.join(", ")} of ${resource.spec.callee.trustDomain}, until ${resource.spec.validUntil.slice(0, 10)}`;
    case "TrafficPolicy":
      return `${resource.spec.targetRef.namespace}/${resource.spec.targetRef.name}: ${resource.spec.locality?.mode ?? "nearest"}`;
    case "FederatedTrustDomain":
      return `${resource.spec.bundleEndpoint.profile}, ${resource.spec.bundleEndpoint.urls.join(", ")}`;
    case "Service":
      return resource.spec.ports.map((port) => `${port.name} ${port.port}/${port.protocol}`).join(", ");
    case "ServiceExport":
      return `to ${(resource.spec.consumers ?? []).map((consumer) => ("trustDomain" in consumer ? consumer.trustDomain : consumer.cluster)).join(", ") || "its own trust domain"}`;
    case "ServiceImport":
      break;
  }
  return `${resource.spec.trustDomain}, from ${resource.spec.cluster} (${resource.spec.region}), ${instanceWords(resource.spec)} ready`;
}
