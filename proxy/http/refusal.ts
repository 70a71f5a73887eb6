import type { Outcome } from "../upstream/chooser.ts";
import { reasonWord } from "./bound-words.ts";
import type { ResponseFlag } from "./response-flag.ts";

/** What an answer of a sidecar itself, told by `x-atoll-reason`, means to the sidecar that called. */
export interface Refusal {
  readonly reason: string;
  /** The flag of the exchange whose answer it becomes. */
  readonly flag: ResponseFlag;
  /**
   * The application has not seen the request, and the reason is one place's or endpoint's alone: any request may be
   * repeated elsewhere, also one that is not idempotent. Otherwise every place would say the same, or the time is over: the answer is final.
   */
  readonly elsewhere: boolean;
  /** What it says of the target: a no by policy or admission nothing at all. */
  readonly outcome: Outcome;
}

const final = { elsewhere: false, outcome: "refused" } as const;
/** Final as well, but for a place that has said that it has room. */
const overloaded = { elsewhere: false, outcome: "overloaded" } as const;
const busy = { elsewhere: false, outcome: "busy" } as const;

const refusals: ReadonlyMap<string, Refusal> = new Map(
  (
    [
      { reason: "caller_not_allowed", flag: "UAEX", ...final },
      { reason: "over_limit", flag: "UO", ...overloaded },
      { reason: "queue_timeout", flag: "UO", ...overloaded },
      { reason: "proxy_overloaded", flag: "UO", ...busy },
      { reason: "too_many_requests", flag: "UO", ...overloaded },
      { reason: "too_many_waiting", flag: "UO", ...overloaded },
      { reason: "deadline_exceeded", flag: "UT", ...final },
      { reason: "request_timeout", flag: "UT", ...final },
      { reason: "app_unreachable", flag: "UF", elsewhere: true, outcome: "gatewayError" },
      { reason: "draining", flag: "UH", elsewhere: true, outcome: "refused" },
      // The application's answer is one that no place would pass on, and that says nothing of how well it is.
      { reason: "upstream_head_too_large", flag: "UPE", ...final },
      { reason: "upstream_too_many_fields", flag: "UPE", ...final },
    ] as const
  ).map((refusal) => [refusal.reason, refusal]),
);

/** The refusal that a reason names, or undefined: other reasons, and those of newer sidecars, are plain responses. */
export function refusalOf(reason: string | undefined): Refusal | undefined {
  return reason === undefined ? undefined : refusals.get(reasonWord(reason));
}

/** True for refusals that mean that the request's time is over, wherever it was noticed. */
export function isDeadline(refusal: Refusal): boolean {
  return refusal.flag === "UT";
}
