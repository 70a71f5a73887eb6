/** How long a missing frame may still be on its way, in ms. */
const gapGraceMs = 200;

/** Between two fetches that change nothing, in ms: from, to. */
const backoffMs = [200, 30_000] as const;

/** When a receiver asks for what it lacks: a gap may close by itself for a moment, and each question waits longer than the last until one brings something. */
export class FetchSchedule {
  #gapSinceMs: number | undefined;
  #isWanted = false;
  #isReviewDue = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #backoffMs: number = backoffMs[0];

  /** True while something is known to be missing. */
  get isMissing(): boolean {
    return this.#isWanted || this.#gapSinceMs !== undefined;
  }

  want(): void {
    this.#isWanted = true;
  }

  /** Nothing is missing, and something may have been said all the same that nobody repeats. */
  review(): void {
    this.#isReviewDue = true;
  }

  /** A later frame than the next is known of. */
  gap(nowMs: number): void {
    this.#gapSinceMs ??= nowMs;
  }

  /** A frame was applied; there may be another gap behind it. */
  followed(hasGap: boolean, nowMs: number): void {
    this.#gapSinceMs = hasGap ? nowMs : undefined;
  }

  /** Nothing is missing, or nothing of it is asked for. */
  clear(): void {
    this.#gapSinceMs = undefined;
    this.#isWanted = false;
    this.#isReviewDue = false;
  }

  /** The publisher has said something new, or nothing that we do not hold. */
  progressed(): void {
    this.#backoffMs = backoffMs[0];
  }

  /** In how many ms to ask; undefined when nothing is missing. */
  delayMs(nowMs: number): number | undefined {
    const gapEndsMs = this.#gapSinceMs === undefined ? undefined : this.#gapSinceMs + gapGraceMs;
    const isDue = this.#isWanted || this.#isReviewDue;
    if (!isDue && gapEndsMs === undefined) return undefined;
    const dueMs = isDue ? nowMs : (gapEndsMs ?? nowMs);
    return Math.max(0, Math.max(dueMs, this.#notBeforeMs) - nowMs);
  }

  asked(nowMs: number): void {
    this.#notBeforeMs = nowMs + this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, backoffMs[1]);
  }
}
