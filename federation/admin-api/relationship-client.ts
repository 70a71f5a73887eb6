import { createHash, X509Certificate } from "node:crypto";
import { isEnded, standingApprovals } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipApproval, TrustDomain } from "#federation/model/resource.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { AdminClient } from "./client.ts";
import { clusterRoutes, globalRoutes } from "./plane-routes.ts";
import { termsDigest } from "./terms-digest.ts";

/** How long what one plane says may take to reach another. */
export interface Patience {
  readonly clock: Clock;
  readonly withinMs: number;
}

const askAgainMs = 100;
/** So long a signer's word is given to come to the global plane by itself, before that is told of it: from a cluster that was deleted it never comes. */
const byItselfMs = 2_000;

/** What relationships pin of a trust domain's authority: SHA-256 of its SPKI, lower-case hex. */
export function authoritySha256Of({ spec }: TrustDomain): string {
  const spki = new X509Certificate(spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("hex");
}

/** The planes that an approval concerns: the one that holds the side's authority, and the global one. */
export interface ApprovalPlanes {
  readonly signer: AdminClient;
  readonly global: AdminClient;
}

/** A form of a relationship that somebody has read. */
export type ShownRelationship = Pick<Relationship, "metadata" | "spec">;

/**
 * The relationship as the global plane shows it. With a `generation`, in that form and no other.
 * @throws {ATOLL_NOT_FOUND} when it is not there in time; {ATOLL_STORE_CONFLICT} when it has a later generation.
 */
export async function readProposed(global: AdminClient, { name, generation }: { readonly name: string; readonly generation?: number }, patience: Patience, signal: AbortSignal): Promise<Relationship> {
  return await untilKnown(
    async () => {
      const relationship = await global.get("Relationship", { name }, signal);
      const present = relationship.metadata.generation ?? 0;
      if (generation !== undefined && generation > present) throw new AtollError("ATOLL_NOT_FOUND", `${name} has no generation ${generation} yet`);
      if (generation !== undefined && generation < present) throw new AtollError("ATOLL_STORE_CONFLICT", `${name} is at generation ${present}, and generation ${generation} was to be approved: look at what has changed`);
      return relationship;
    },
    patience,
    signal,
  );
}

/**
 * Has a side's signer sign what was `shown`, and nothing else, and hands the approval to the global plane, which checks the signature. The
 * signer may not have heard of the relationship yet, nor of this form, so it is asked again for a while.
 * @throws {ATOLL_NOT_FOUND} when it has not heard in time; {ATOLL_TERMS_DIFFER} when it holds other terms.
 */
export async function approveRelationship({ signer, global }: ApprovalPlanes, shown: ShownRelationship, patience: Patience, signal: AbortSignal): Promise<RelationshipApproval> {
  const { name, generation } = shown.metadata;
  const query = { termsSha256: termsDigest(shown), ...(generation === undefined ? {} : { generation }) };
  const { body } = await untilKnown(() => signer.call(clusterRoutes.approveRelationship, { params: { name }, query }, signal), patience, signal);
  await global.call(globalRoutes.recordApproval, { params: { name }, body }, signal);
  return body;
}

/**
 * Has a side's signer take its approval back, and waits until the global plane has heard of it: the signer's own cluster is bound by it at
 * once, the others as soon as the global plane passes it on. False where there was no approval, or none any more.
 * @throws {ATOLL_TIMEOUT} when the global plane has not heard in time; the word is kept, and reaches it once the two hear each other.
 */
export async function withdrawApproval({ signer, global }: ApprovalPlanes, name: string, { clock, withinMs }: Patience, signal: AbortSignal): Promise<boolean> {
  const withdrawal = await orNotFound(signer.call(clusterRoutes.withdrawApproval, { params: { name } }, signal));
  if (withdrawal === undefined) return false;
  const { body } = withdrawal;
  const startMs = clock.monotonicMs();
  for (let isTold = false; ; ) {
    const relationship = await orNotFound(global.get("Relationship", { name }, signal));
    const isStanding = standingApprovals(relationship?.status).some((approval) => isEnded(approval, body));
    if (!isStanding) return true;
    const waitedMs = clock.monotonicMs() - startMs;
    if (!isTold && waitedMs > byItselfMs) {
      isTold = true;
      await orNotFound(global.call(globalRoutes.endApproval, { params: { name }, body }, signal));
    }
    if (waitedMs > withinMs) throw new AtollError("ATOLL_TIMEOUT", `the approval of ${name} is taken back at its signer, but the global plane has not heard of it within ${withinMs / 1_000} s`);
    await sleep(clock, askAgainMs, signal);
  }
}

async function orNotFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isAtollError(error, "ATOLL_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** Calls until what is asked for is known there. @throws {ATOLL_NOT_FOUND} when it is not in time, and what else `call` throws. */
export async function untilKnown<T>(call: () => Promise<T>, { clock, withinMs }: Patience, signal: AbortSignal): Promise<T> {
  const startMs = clock.monotonicMs();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isAtollError(error, "ATOLL_NOT_FOUND") || clock.monotonicMs() - startMs > withinMs) throw error;
    }
    await sleep(clock, askAgainMs, signal);
  }
}
