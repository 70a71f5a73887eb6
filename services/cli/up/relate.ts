import { approveRelationship, authoritySha256Of, readProposed, untilKnown, withdrawApproval, type Patience, type ShownRelationship } from "#federation/admin-api/relationship-client.ts";
import type { Relationship } from "#federation/model/resource.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { CommandContext } from "../context.ts";
import type { Planes } from "../planes.ts";
import type { FederationPlan } from "./federation-plan.ts";
import { relationshipFile, type ResourceFile } from "./resource-files.ts";

/** The file of `relationships`, with the authorities that the global plane knows now. @throws {ATOLL_NOT_FOUND} when a trust domain's signer has not joined. */
export async function pinnedRelationships(planes: Planes, relationships: FederationPlan["relationships"], context: CommandContext): Promise<ResourceFile> {
  const pins = new Map<string, string>();
  for (const trustDomain of new Set(relationships.flatMap(({ caller, callee }) => [caller.trustDomain, callee.trustDomain]))) pins.set(trustDomain, await authoritySha256(planes, trustDomain, context));
  return relationshipFile(relationships, { authoritySha256: (trustDomain) => pins.get(trustDomain) ?? "", nowMs: context.terminal.clock.nowMs() });
}

async function authoritySha256(planes: Planes, trustDomain: string, context: CommandContext): Promise<string> {
  return authoritySha256Of(await untilKnown(() => planes.global().get("TrustDomain", { name: parseTrustDomainName(trustDomain) }, context.signal), patienceOf(context), context.signal));
}

/** What the relationship proposes, as the global plane shows it. @throws {ATOLL_NOT_FOUND} */
export async function proposedTerms(planes: Planes, name: string, context: CommandContext): Promise<Relationship> {
  return await readProposed(planes.global(), { name }, patienceOf(context), context.signal);
}

/** Approves exactly what was shown, for `trustDomain`, whose signer is known here. @throws {ATOLL_TERMS_DIFFER} when that holds other terms. */
export async function approveForSide(planes: Planes, shown: ShownRelationship, trustDomain: string, context: CommandContext): Promise<void> {
  await approveRelationship({ signer: planes.cluster(planes.signerOf(trustDomain)), global: planes.global() }, shown, patienceOf(context), context.signal);
}

/** Takes the approval of `trustDomain` back; false where there was none. */
export async function withdrawForSide(planes: Planes, name: string, trustDomain: string, context: CommandContext): Promise<boolean> {
  return await withdrawApproval({ signer: planes.cluster(planes.signerOf(trustDomain)), global: planes.global() }, name, patienceOf(context), context.signal);
}

function patienceOf({ terminal }: CommandContext): Patience {
  return { clock: terminal.clock, withinMs: knownWithinMs };
}

const knownWithinMs = 15_000;
