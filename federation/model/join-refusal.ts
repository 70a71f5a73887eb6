import { AtollError, isAtollError } from "#federation/runtime/errors.ts";

/** Why a proof of joining was refused: for the plane's log and metric, never for the caller. */
export type JoinRefusal =
  | "unknown"
  | "secret"
  | "expired"
  | "revoked"
  | "exhausted"
  | "address"
  | "purpose"
  /** Of an attestation: no source of its kind is configured, the document is not what one of them signed, no rule wants it, or it was used for another key. */
  | "source"
  | "document"
  | "rule"
  | "replayed";

/** The one opaque refusal; the reason is a fact for the log and travels in no answer, and neither does `why`. */
export function refusedToken(reason?: JoinRefusal, why?: unknown): AtollError {
  if (reason === undefined) return new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used");
  // As cause too, since a log shows the causes of an error while an answer shows its message only.
  const cause = new Error(reason, why === undefined ? {} : { cause: why });
  return new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used", { cause, details: { reason } });
}

/** The label of a refusal on `atoll_join_refused_total`: the code of the error, with the reason where there is one. */
export function joinRefusalLabel(error: unknown): string {
  if (!isAtollError(error)) return "ATOLL_INTERNAL";
  const { reason } = error.details;
  return error.code === "ATOLL_JOIN_TOKEN_REFUSED" && typeof reason === "string" ? `${error.code}:${reason}` : error.code;
}
