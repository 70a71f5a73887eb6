import { isDeepStrictEqual } from "node:util";
import { AtollError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes, joinTokenSeconds } from "#federation/admin-api/plane-routes.ts";
import { parseLabel } from "#federation/model/names.ts";
import { parseYaml } from "#federation/model/parse/parse-yaml.ts";
import { formatFileFaults } from "#federation/model/parse/yaml-document.ts";
import type { CommandContext } from "../context.ts";
import { readFederation } from "../described-federation.ts";
import { printData, printRows } from "../output.ts";
import { applyResources } from "../up/apply.ts";
import { pinnedRelationships, withdrawForSide } from "../up/relate.ts";
import { resourceText } from "../up/resource-files.ts";
import { withFederation } from "./federation.ts";
import { runProvisioningCreate } from "./provisioning.ts";
import { endNamedBeforeMs } from "./relationship-findings.ts";
import { parseTokenPurpose } from "./token-purpose.ts";

export interface TokenCreateOptions {
  readonly cluster?: string;
  /** Seconds. */
  readonly life?: number;
  /** Present for a token of many instances. */
  readonly uses?: number;
  readonly cidr?: readonly string[];
}

/** `atoll token create PURPOSE`: the token alone goes to standard output. */
export async function runTokenCreate(context: CommandContext, purposeText: string, options: TokenCreateOptions): Promise<number> {
  const purpose = parseTokenPurpose(purposeText);
  if (options.uses !== undefined) return await runProvisioningCreate(context, purpose, { ...options, uses: options.uses });
  if (options.cidr !== undefined) throw new AtollError("ATOLL_USAGE", "--cidr is for tokens of many instances: say how many with --uses");
  if ((options.life ?? 0) > joinTokenSeconds.max) throw new AtollError("ATOLL_USAGE", `a token that works once lives at most ${joinTokenSeconds.max} s; --uses makes one that lives longer`);
  if (purpose.kind !== "cluster" && options.cluster === undefined) throw new AtollError("ATOLL_USAGE", `a token for ${purposeText} is made by a cluster's plane: say by which with --cluster`);
  const body = { purpose, ...(options.life === undefined ? {} : { lifeSeconds: options.life }) };
  const answer = await withFederation(context, async ({ planes }) => {
    if (purpose.kind === "cluster") return (await planes.global().call(globalRoutes.createJoinToken, { body }, context.signal)).body;
    return (await planes.cluster(options.cluster ?? "").call(clusterRoutes.createJoinToken, { body }, context.signal)).body;
  });
  if (printData(context, answer)) return 0;
  context.terminal.print(answer.token);
  context.terminal.note(`Works once, until ${answer.expiresAt}; it is not shown again.`);
  return 0;
}

/**
 * `atoll relationship declare FILE`: the relationships of a federation's file, with the authorities that are there now. What stands as it is
 * said stays, with its approvals; near its end it is proposed with a later one, and what was agreed holds until both sides have approved that.
 */
export async function runDeclare(context: CommandContext, path: string): Promise<number> {
  const { relationships } = readFederation(path);
  const results = await withFederation(context, async ({ planes }) => {
    const file = await pinnedRelationships(planes, relationships, context);
    const outcome = parseYaml(resourceText(file, "declared"), path);
    if (outcome.kind === "faults") throw new AtollError("ATOLL_RESOURCE_INVALID", formatFileFaults(outcome.faults));
    const standing = await planes.global().list("Relationship", {}, context.signal);
    const stands = ({ metadata, spec }: { readonly metadata: { readonly name: string }; readonly spec: object }): boolean => {
      const found = standing.find((one) => one.metadata.name === metadata.name);
      const { validDays = 0 } = relationships.find(({ name }) => name === metadata.name) ?? {};
      // One of some days is not renewed each time that it is looked at.
      const renewedBeforeMs = Math.min(endNamedBeforeMs, (validDays / 2) * 86_400_000);
      return found !== undefined && isSameTrust(found.spec, spec) && Date.parse(found.spec.validUntil) - context.terminal.clock.nowMs() > renewedBeforeMs;
    };
    const changed = outcome.resources.filter(({ resource }) => !stands(resource));
    const applied = await applyResources(planes, changed, [], context.signal);
    return relationships.map(({ name }) => ({ name, outcome: applied.find(({ id }) => id === name)?.outcome ?? "as it was" }));
  });
  printRows(context, results, [
    { title: "RELATIONSHIP", value: (row) => row.name },
    { title: "OUTCOME", value: (row) => row.outcome },
  ]);
  return 0;
}

/** Whether two specs say the same but for how long. */
function isSameTrust(a: object, b: object): boolean {
  const without = ({ validUntil: _, ...rest }: { readonly validUntil?: string }): object => rest;
  return isDeepStrictEqual(without(a), without(b));
}

/** `atoll relationship withdraw NAME --as TRUST-DOMAIN …`. */
export async function runWithdraw(context: CommandContext, name: string, options: { readonly as: readonly string[] }): Promise<number> {
  const relationship = parseLabel(name, "relationship");
  const withdrawnBy = await withFederation(context, async ({ planes }) => {
    const done: string[] = [];
    for (const trustDomain of options.as) {
      const wasApproved = await withdrawForSide(planes, relationship, trustDomain, context);
      if (wasApproved) done.push(trustDomain);
      if (context.output === "table") context.terminal.print(wasApproved ? `${trustDomain} approves relationship ${relationship} no longer` : `${trustDomain} has approved no relationship ${relationship}`);
    }
    return done;
  });
  printData(context, { relationship, withdrawnBy });
  return 0;
}
