import { isPartOf } from "#federation/model/replication-messages.ts";
import type { FetchAnswer, FetchRequest } from "#federation/model/replication-messages.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Parts of one answer, each at most a frame: 256 MiB. */
const answerPartsMax = 1024;

/** How often one part is asked for before the answer is given up: with a thousand parts over a link that loses a tenth of all requests, that happens once in a hundred thousand times. */
export const partTriesMax = 8;

/** How long one part may take, in ms: a frame over a link of half a megabit a second. */
export const partTimeoutMs = 5_000;

/** Parts that are asked for at once, at most a frame each: 1 MiB on its way. Over a link on which each takes a round trip an answer comes four times as soon. */
export const partsAheadMax = 4;

/**
 * A part that comes within this share of its time has room for one more beside it. On a link that is full each takes as many times as long as there are of them:
 * where the only one took an eighth, there will be three at most, which take three eighths. None is lost for the others, and a heartbeat behind them is less than two
 * seconds late: after three and a half its publisher counts as not heard.
 */
const quickPartRatio = 1 / 8;

/** Between two tries of a part, in ms: from, to. Together with tries that nobody answers that is a minute, half of what the publisher waits for (`answerKeptMs`). */
const retryWaitMs = [200, 5_000] as const;

/**
 * Gathers one answer, a few parts at once. However many parts are lost on the way, it goes on for as long as each of them comes at last: an answer that began anew with
 * every loss would never be whole over a bad link, and the larger the state, the less so. No I/O and no clock.
 */
export class AnswerParts {
  readonly #question: FetchRequest;
  readonly #parts = new Map<number, FetchAnswer>();
  /** What came in the place of a part, when the publisher does not keep this answer any more. */
  #broken: FetchAnswer | undefined;
  /** Of each part that is asked for now, the tries that were lost. */
  readonly #triesLost = new Map<number, number>();
  #asked = 0;
  /** How many may be asked for at once: more with each that comes soon, and one after any was lost. */
  #aheadMax = 1;
  #lost = 0;

  constructor(question: FetchRequest) {
    this.#question = question;
  }

  /** What has come, in order; the last of them is of another answer, when the publisher does not keep this one any more. */
  get parts(): readonly FetchAnswer[] {
    const inOrder = [...this.#parts].toSorted(([one], [other]) => one - other).map(([, answer]) => answer);
    return this.#broken === undefined ? inOrder : [...inOrder, this.#broken];
  }

  /** How many tries were lost so far, of all parts. */
  get lost(): number {
    return this.#lost;
  }

  /** There is nothing more to be had, whatever is still on its way. */
  get isOver(): boolean {
    const first = this.#parts.get(0);
    return this.#broken !== undefined || (first !== undefined && this.#parts.size >= first.parts);
  }

  /** What to ask for now, beside what is asked for already; undefined when there is no room, or nothing more. It is asked for until it was taken, or the answer is given up. */
  next(): FetchRequest | undefined {
    const first = this.#parts.get(0);
    // How many there are is known with the first one.
    if (this.#broken !== undefined || this.#triesLost.size >= this.#aheadMax || this.#asked >= (first?.parts ?? 1)) return undefined;
    const part = this.#asked++;
    this.#triesLost.set(part, 0);
    return first === undefined ? this.#question : { kind: "part", answer: first.answer, part };
  }

  /** `request` was answered, after `tookMs`. @throws {ATOLL_WIRE_TOO_LARGE} of an answer in more parts than are read. */
  take(request: FetchRequest, answer: FetchAnswer, tookMs: number): void {
    const first = this.#parts.get(0) ?? answer;
    if (first.parts > answerPartsMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `an answer in ${first.parts} parts, at most ${answerPartsMax} are read`);
    const part = partOf(request);
    this.#triesLost.delete(part);
    if (isPartOf(first, answer, part)) this.#parts.set(part, answer);
    else this.#broken = answer;
    if (tookMs <= partTimeoutMs * quickPartRatio) this.#aheadMax = Math.min(this.#aheadMax + 1, partsAheadMax);
  }

  /** `request` got no answer: in how many ms to ask again; undefined to give up. A question is never repeated here: asked later, it has another answer. */
  lose(request: FetchRequest): number | undefined {
    this.#lost++;
    this.#aheadMax = 1;
    const part = partOf(request);
    const triesLost = (this.#triesLost.get(part) ?? 0) + 1;
    this.#triesLost.set(part, triesLost);
    if (request.kind !== "part" || triesLost >= partTriesMax) return undefined;
    return Math.min(retryWaitMs[0] * 2 ** (triesLost - 1), retryWaitMs[1]);
  }
}

/** The question is answered by the first part. */
function partOf(request: FetchRequest): number {
  return request.kind === "part" ? request.part : 0;
}
