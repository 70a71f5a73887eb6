import type { FetchAnswer } from "#federation/model/replication-messages.ts";

/** How long an answer is kept after one of its parts was asked for, in ms: twice what a receiver takes for all its tries of one part. */
export const answerKeptMs = 120_000;

/** Answers that are kept at once; the one that was left alone for longest gives way. */
const answersMax = 8;

interface KeptAnswer {
  readonly parts: readonly FetchAnswer[];
  readonly askedMs: number;
}

/**
 * The answers of several parts that a publisher keeps for whoever fetches them, by reference to their objects. A slow receiver may take as long as it needs:
 * each question makes an answer the youngest, and one that was asked of to the end is kept like the others, since its last part may be lost, too.
 */
export class KeptAnswers {
  /** In the order in which they were asked of last. */
  readonly #byId = new Map<string, KeptAnswer>();

  keep(id: string, parts: readonly FetchAnswer[], nowMs: number): void {
    this.#byId.delete(id);
    this.#byId.set(id, { parts, askedMs: nowMs });
    for (const oldest of this.#byId.keys()) {
      if (this.#byId.size <= answersMax) break;
      this.#byId.delete(oldest);
    }
  }

  /** Undefined when the answer is not kept any more, or never had that part. */
  part(id: string, part: number, nowMs: number): FetchAnswer | undefined {
    const parts = this.#byId.get(id)?.parts;
    if (parts !== undefined) this.keep(id, parts, nowMs);
    return parts?.[part];
  }

  /** Lets go what nobody has asked of for `answerKeptMs`. */
  forget(nowMs: number): void {
    for (const [id, { askedMs }] of this.#byId) {
      if (nowMs - askedMs < answerKeptMs) break;
      this.#byId.delete(id);
    }
  }
}
