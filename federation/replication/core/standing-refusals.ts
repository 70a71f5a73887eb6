import { heldBackReason, type RefusedObject } from "./refused-objects.ts";

/**
 * How long an object is refused before that is a finding, in ms: what a receiver does not know yet, or asks for once more, is refused for a
 * moment in a federation that is well.
 */
export const refusalStandsMs = 5_000;

/** What a receiver goes on refusing, as its acknowledgements name it; at most as many as they name. */
export class StandingRefusals {
  #sinceMs: ReadonlyMap<string, { readonly reason: string; readonly atMs: number }> = new Map();

  /** What is refused as of the newest acknowledgement. What is held back is no refusal: it is told of where it is held. */
  take(refused: readonly RefusedObject[], nowMs: number): void {
    const before = this.#sinceMs;
    this.#sinceMs = new Map(refused.filter(({ reason }) => reason !== heldBackReason).map(({ id, reason }) => [id, { reason, atMs: before.get(id)?.atMs ?? nowMs }]));
  }

  /** Those that have been refused for `refusalStandsMs`, in order of their ids. */
  at(nowMs: number): readonly RefusedObject[] {
    return [...this.#sinceMs]
      .filter(([, { atMs }]) => nowMs - atMs >= refusalStandsMs)
      .map(([id, { reason }]) => ({ id, reason }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }
}
