import type { AttestationKind, Attested, AttestationRule } from "#federation/model/attestation.ts";
import { judgeAttested } from "#federation/model/attestation.ts";
import type { JoinProof } from "#federation/model/join-proof.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import { isProvisioningId } from "#federation/model/provisioning-token.ts";
import type { Catalog } from "./catalog.ts";

/** Who comes, with which proof, and for what. */
export interface JoinAttempt {
  readonly proof: JoinProof;
  /** SHA-256 of the public key (SPKI) that is to be certified, lower-case hex; the caller has proven to hold the private half. */
  readonly keySha256: string;
  /** Source address of the connection. */
  readonly address: string;
  /** Whether what the proof is good for is what it is used for; a use for anything else is refused. */
  readonly isWanted: (purpose: JoinPurpose) => boolean;
}

/** Whose documents a plane believes, and whom it lets in by them. */
export interface Attestation {
  readonly rules: readonly AttestationRule[];
  /** Rejects with {ATOLL_JOIN_TOKEN_REFUSED} for what no source of the kind has signed, or what does not hold any more. */
  readonly verify: (kind: AttestationKind, document: string) => Promise<Attested>;
}

/** What somebody was let in for, and, where others vouched, who it is by their word. */
export interface Admitted {
  readonly purpose: JoinPurpose;
  readonly attested?: Pick<Attested, "source" | "subject">;
}

/**
 * Uses a proof of any kind and answers what it is good for, which `attempt.isWanted` has approved of.
 * A single-use token is used up even when it was for something else.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with it, in always the same words. @throws {ATOLL_JOIN_OVERLOADED}
 */
export async function admitJoiner(
  { catalog, attestation }: { readonly catalog: Pick<Catalog, "joinTokens" | "provisioningTokens" | "attestations">; readonly attestation: Attestation },
  { proof, ...attempt }: JoinAttempt,
  nowMs: number,
  signal: AbortSignal,
): Promise<Admitted> {
  if (proof.kind === "attestation") {
    const attested = await attestation.verify(proof.source, proof.document);
    const verdict = judgeAttested(attestation.rules, attested, attempt);
    if ("refusal" in verdict) throw refusedToken(verdict.refusal, attested.subject);
    await catalog.attestations.use(attested, attempt, nowMs, signal);
    return { purpose: verdict.purpose, attested };
  }
  const { id, secret } = proof;
  if (isProvisioningId(id)) return { purpose: await catalog.provisioningTokens.use({ ...attempt, id, secret }, nowMs, signal) };
  const purpose = await catalog.joinTokens.consume(id, secret, nowMs, signal);
  if (!attempt.isWanted(purpose)) throw refusedToken();
  return { purpose };
}
