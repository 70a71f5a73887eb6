import type { Attested, AttestationKind } from "#federation/model/attestation.ts";
import { attestationLimits } from "#federation/model/attestation.ts";

/** Believes one source: a cloud, or the issuer of one orchestrator. */
export interface Attestor {
  readonly kind: AttestationKind;
  /** Rejects with {ATOLL_TOKEN_REFUSED} or {ATOLL_CERTIFICATE_INVALID} for what the source has not signed, or what is over; the rejection never holds the document. */
  readonly attest: (document: string) => Promise<Attested>;
}

/** The facts of a document that are short texts; whatever else stands there is left out. */
export function factsOf(values: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === "string" && entry[1] !== "" && entry[1].length <= attestationLimits.factLength));
}

/** `value` when it is an object; else one without anything. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
