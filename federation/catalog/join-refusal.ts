import { AtollError, isAtollError } from "#federation/runtime/errors.ts";

/** Why a token was refused: for the plane's log and metric, never for the caller. */
export type JoinRefusal = "unknown" | "secret" | "expired" | "revoked" | "exhausted" | "address" | "purpose";

/** The one opaque refusal of a token; the reason is a fact for the log and travels in no answer. */
export function refusedToken(reason?: JoinRefusal): AtollError {
  if (reason === undefined) return new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used");
  // As cause too, since a log shows the causes of an error while an answer shows its message only.
  return new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token cannot be used", { cause: new Error(reason), details: { reason } });
}

/** The label of a refusal on `atoll_join_refused_total`: the code of the error, with the reason where a token has one. */
export function joinRefusalLabel(error: unknown): string {
  if (!isAtollError(error)) return "ATOLL_INTERNAL";
  const { reason } = error.details;
  return error.code === "ATOLL_JOIN_TOKEN_REFUSED" && typeof reason === "string" ? `${error.code}:${reason}` : error.code;
}
