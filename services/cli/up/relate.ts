import { X509Certificate, createHash } from "node:crypto";
import { sleep } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
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
  const resource = await retryUntilKnown(() => planes.global().get("TrustDomain", { name: parseTrustDomainName(trustDomain) }, context.signal), context);
  const spki = new X509Certificate(resource.spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("hex");
}

/**
 * Has the signer of `trustDomain` sign the relationship, and hands the approval to the global plane, which checks the
 * signature. The signer may not have heard of the relationship yet, so it is asked again for a while.
 */
export async function approveRelationship(planes: Planes, name: string, trustDomain: string, context: CommandContext): Promise<void> {
  const signer = planes.cluster(planes.signerOf(trustDomain));
  const { body } = await retryUntilKnown(() => signer.call(clusterRoutes.approveRelationship, { params: { name } }, context.signal), context);
  await planes.global().call(globalRoutes.recordApproval, { params: { name }, body }, context.signal);
}

const knownWithinMs = 15_000;
const askAgainMs = 100;

/** Calls until what is asked for is known there: what one plane says reaches another a moment later. */
async function retryUntilKnown<T>(call: () => Promise<T>, context: CommandContext): Promise<T> {
  const { clock } = context.terminal;
  const startMs = clock.monotonicMs();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof AtollError) || error.code !== "ATOLL_NOT_FOUND" || clock.monotonicMs() - startMs > knownWithinMs) throw error;
    }
    await sleep(clock, askAgainMs, context.signal);
  }
}
