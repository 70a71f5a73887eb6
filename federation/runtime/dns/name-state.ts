/** What one family of addresses came to: A records, or AAAA. */
export type FamilyAnswer =
  | { readonly kind: "found"; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** The name, or addresses of this family under it, do not exist. */
  | { readonly kind: "none" }
  /** Nobody answered, or not to the question: nothing is known. */
  | { readonly kind: "failed"; readonly reason: string };

/** What one look-up of a name came to. */
export interface NameAnswer {
  readonly v4: FamilyAnswer;
  readonly v6: FamilyAnswer;
}

/** How a look-up is counted. `missing`: DNS says that there is nothing under the name. */
export type LookupResult = "found" | "missing" | "failed";

/** A name and what it stood for last. Immutable. */
export interface NameState {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
  /** Wall-clock ms of the answer that these come from; undefined while there was none. */
  readonly asOfMs: number | undefined;
  /** Monotonic ms at which to ask again. */
  readonly askAtMs: number;
  /** Look-ups in a row that gave nothing. */
  readonly failures: number;
  /** Why the last look-up gave nothing; undefined when it did, or while none has ended. */
  readonly problem: string | undefined;
  /** A look-up has ended, whatever it gave. */
  readonly asked: boolean;
  /** Addresses of the last answer beyond `addressesPerNameMax`, which are not used. */
  readonly dropped: number;
}

/** A time to live of nothing, or of a second and a bit, would be a storm of questions. Ms. */
export const ttlMsMin = 1_000;
/** What changes is noticed within this, whatever the zone says. Ms. */
export const ttlMsMax = 300_000;
/** Most addresses of one name, both families together. */
export const addressesPerNameMax = 64;
/** Questions after an answer are spread over a tenth of its life, and never over more than this. Ms. */
const spreadMsMax = 500;
const spreadRatio = 0.1;
/** After a failure the next question comes after 1 s, then twice as late each time … */
const retryMsMin = 1_000;
/** … up to this, so that what a resolver has to say after an outage is heard soon. */
const retryMsMax = 15_000;

/** A name of which nothing is known but what an earlier life may have left; to be asked at once. */
export function unaskedName(held: { readonly addresses: readonly string[]; readonly asOfMs: number } | undefined, nowMs: number): NameState {
  const addresses = held?.addresses ?? [];
  return {
    v4: addresses.filter((address) => !address.includes(":")),
    v6: addresses.filter((address) => address.includes(":")),
    asOfMs: held?.asOfMs,
    askAtMs: nowMs,
    failures: 0,
    problem: undefined,
    asked: false,
    dropped: 0,
  };
}

/** What a look-up counts as: one family that was found is enough, and one that failed leaves open what there is. */
export function resultOf({ v4, v6 }: NameAnswer): LookupResult {
  if (v4.kind === "found" || v6.kind === "found") return "found";
  return v4.kind === "failed" || v6.kind === "failed" ? "failed" : "missing";
}

/**
 * The name after `answer`. Addresses go only when another answer stands in their place: a resolver that is silent, that is
 * broken or that says "no such name" takes none away, since a name that is used for traffic is more often lost than meant.
 *
 *   asked --found--> held until its time to live (1 s to 300 s) is over --> asked again
 *     ^------------- nothing: what was held stays, asked again after 1, 2, 4 … 15 s
 *
 * `spread` in [0, 1) moves the next question, so that many processes do not ask in step. `nowMs` is monotonic, `wallMs` is not.
 */
export function afterAnswer(state: NameState, answer: NameAnswer, at: { readonly nowMs: number; readonly wallMs: number; readonly spread: number }): NameState {
  if (resultOf(answer) !== "found") {
    const failures = state.failures + 1;
    const retryMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures - 1, 16));
    return { ...state, failures, problem: problemOf(answer), asked: true, askAtMs: at.nowMs + retryMs * (0.75 + at.spread / 2) };
  }
  const v4 = addressesOf(answer.v4, state.v4);
  const v6 = addressesOf(answer.v6, state.v6);
  const ttlMs = Math.min(ttlMsMax, Math.max(ttlMsMin, Math.min(ttlOf(answer.v4), ttlOf(answer.v6))));
  return {
    v4: v4.slice(0, addressesPerNameMax),
    v6: v6.slice(0, Math.max(0, addressesPerNameMax - v4.length)),
    asOfMs: at.wallMs,
    askAtMs: at.nowMs + ttlMs + at.spread * Math.min(spreadMsMax, ttlMs * spreadRatio),
    failures: 0,
    problem: undefined,
    asked: true,
    dropped: Math.max(0, v4.length + v6.length - addressesPerNameMax),
  };
}

/** All of its addresses, in an order that does not depend on that of the answer. */
export function addressesOfName(state: NameState): readonly string[] {
  return [...state.v4, ...state.v6];
}

function addressesOf(answer: FamilyAnswer, held: readonly string[]): readonly string[] {
  if (answer.kind === "failed") return held;
  return answer.kind === "none" ? [] : [...new Set(answer.addresses)].toSorted();
}

function ttlOf(answer: FamilyAnswer): number {
  return answer.kind === "found" ? answer.ttlMs : Number.POSITIVE_INFINITY;
}

function problemOf({ v4, v6 }: NameAnswer): string {
  if (v4.kind === "failed") return v4.reason;
  if (v6.kind === "failed") return v6.reason;
  return "no such name, or no address under it";
}
