import type { AttestationKind, AttestationRule, Attested } from "#federation/model/attestation.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { AttestationConfig, AttestationSource } from "./attestation-config.ts";
import type { Attestor } from "./attestor.ts";
import { createGoogleAttestor, createServiceAccountAttestor } from "./jwt-attestor.ts";
import { createAwsAttestor, createAzureAttestor } from "./machine-attestors.ts";

/** Whose documents a plane believes, and whom it lets in by them: its configuration, brought to life. */
export function createAttestation(config: AttestationConfig, clock: Clock): { readonly rules: readonly AttestationRule[]; readonly verify: (kind: AttestationKind, document: string) => Promise<Attested> } {
  const attestors = Object.entries(config.sources).map(([name, source]) => createAttestor(name, source, clock));
  return { rules: config.rules, verify: async (kind, document) => await attestByAny(attestors.filter((attestor) => attestor.kind === kind), document) };
}

function createAttestor(name: string, source: AttestationSource, clock: Clock): Attestor {
  if (source.kind === "kubernetes") return createServiceAccountAttestor(name, source, clock);
  if (source.kind === "aws") return createAwsAttestor(name, source, clock);
  return source.kind === "google" ? createGoogleAttestor(name, source, clock) : createAzureAttestor(name, source, clock);
}

/**
 * The word of the first source that has signed the document; several clusters of an orchestrator may be believed by one plane.
 * What is wrong with our own keys is told as that, and as a refusal only when no source of theirs failed.
 */
async function attestByAny(attestors: readonly Attestor[], document: string): Promise<Attested> {
  if (attestors.length === 0) throw refusedToken("source");
  const failures: unknown[] = [];
  for (const { attest } of attestors) {
    try {
      return await attest(document);
    } catch (error) {
      failures.push(error);
    }
  }
  const own = failures.find((error) => !isAtollError(error, "ATOLL_TOKEN_REFUSED", "ATOLL_CERTIFICATE_INVALID"));
  // The caller hears neither which key it is nor where it lies; the log shows the cause.
  if (own !== undefined) throw new AtollError("ATOLL_INTERNAL", "this plane cannot judge attested documents now", { cause: own });
  throw refusedToken("document", failures.at(-1));
}
