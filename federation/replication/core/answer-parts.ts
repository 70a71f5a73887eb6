import { isPartOf } from "#federation/model/replication-messages.ts";
import type { FetchAnswer, FetchRequest } from "#federation/model/replication-messages.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Parts of one answer, each at most a frame: 256 MiB. */
const answerPartsMax = 1024;

/** How often one part is asked for before the answer is given up: with a thousand parts over a link that loses a tenth of all requests, that happens once in a hundred thousand times. */
export const partTriesMax = 8;

/** Between two tries of a part, in ms: from, to. Together with tries that nobody answers that is a minute, half of what the publisher waits for (`answerKeptMs`). */
const retryWaitMs = [200, 5_000] as const;

/**
 * Gathers one answer, part by part. However many parts are lost on the way, it goes on for as long as each of them comes at last: an answer that began anew with
 * every loss would never be whole over a bad link, and the larger the state, the less so. No I/O and no clock.
 */
export class AnswerParts {
  readonly #question: FetchRequest;
  readonly #parts: FetchAnswer[] = [];
  /** Of the part that is asked for now. */
  #triesLost = 0;
  #lost = 0;
  #isBroken = false;

  constructor(question: FetchRequest) {
    this.#question = question;
  }

  /** What has come, in order; the last of them may be of another answer, when the publisher does not keep this one any more. */
  get parts(): readonly FetchAnswer[] {
    return this.#parts;
  }

  /** How many tries were lost so far, of all parts. */
  get lost(): number {
    return this.#lost;
  }

  /** What to ask for now; undefined when there is nothing more to be had. */
  get next(): FetchRequest | undefined {
    const first = this.#parts[0];
    if (first === undefined) return this.#question;
    if (this.#isBroken || this.#parts.length >= first.parts) return undefined;
    return { kind: "part", answer: first.answer, part: this.#parts.length };
  }

  /** @throws {ATOLL_WIRE_TOO_LARGE} of an answer in more parts than are read. */
  take(answer: FetchAnswer): void {
    const first = this.#parts[0] ?? answer;
    if (first.parts > answerPartsMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `an answer in ${first.parts} parts, at most ${answerPartsMax} are read`);
    this.#isBroken = !isPartOf(first, answer, this.#parts.length);
    this.#parts.push(answer);
    this.#triesLost = 0;
  }

  /** `next` got no answer: in how many ms to ask again; undefined to give up. A question is never repeated here: asked later, it has another answer. */
  lose(): number | undefined {
    this.#lost++;
    this.#triesLost++;
    if (this.#parts.length === 0 || this.#triesLost >= partTriesMax) return undefined;
    return Math.min(retryWaitMs[0] * 2 ** (this.#triesLost - 1), retryWaitMs[1]);
  }
}
