import { createHash, X509Certificate } from "node:crypto";
import type { RelationshipApproval, TrustDomain } from "#federation/model/resource.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { AdminClient } from "./client.ts";
import { clusterRoutes, globalRoutes } from "./plane-routes.ts";

/** How long what one plane says may take to reach another. */
export interface Patience {
  readonly clock: Clock;
  readonly withinMs: number;
}

const askAgainMs = 100;

/** What relationships pin of a trust domain's authority: SHA-256 of its SPKI, lower-case hex. */
export function authoritySha256Of({ spec }: TrustDomain): string {
  const spki = new X509Certificate(spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("hex");
}

/**
 * Has a side's signer sign the relationship, and hands the approval to the global plane, which checks the signature. The signer may not
 * have heard of the relationship yet, so it is asked again for a while.
 * @throws {ATOLL_NOT_FOUND} when it has not in time.
 */
export async function approveRelationship(
  { signer, global }: { readonly signer: AdminClient; readonly global: AdminClient },
  name: string,
  patience: Patience,
  signal: AbortSignal,
): Promise<RelationshipApproval> {
  const { body } = await untilKnown(() => signer.call(clusterRoutes.approveRelationship, { params: { name } }, signal), patience, signal);
  await global.call(globalRoutes.recordApproval, { params: { name }, body }, signal);
  return body;
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
