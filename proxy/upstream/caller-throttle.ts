/** What was seen counts half as much after this. Ms. */
const halfLifeMs = 500;
/** Whatever was refused, so much is sent on: nothing else would show that a far side is back. */
const refusedRatioMax = 0.98;
/** Fewer answers than this say nothing. */
const answeredMin = 10;
/**
 * How many requests are sent for each that is accepted while the far side refuses, by class: above 1, so that a place which has
 * room again is noticed, and its queue has whom to choose from; the lowest class gives way first …
 */
const sentPerAccepted: Readonly<Record<number, number>> = { 0: 2, 1: 1.5, 2: 1.2 };
/** … and hardly above it where its sidecar has no time, for it has even less when it refuses: that costs half of a whole request … */
const sentPerAcceptedBusy: Readonly<Record<number, number>> = { 0: 1.5, 1: 1.1, 2: 1.03 };
/** … which is believed for so long. Ms. */
const busyMs = 1_000;
/** … and one more for each that is accepted when the far side has refused none for so long. Ms. */
const oneMoreMs = 2_000;

/**
 * Refuses on the caller's side what the far side would refuse anyway: while most requests to a target are refused there, only
 * somewhat more are sent than it takes. Refusing here costs neither a hop nor the far side's processor. Pure; no allocation.
 * @see https://sre.google/sre-book/handling-overload/#eq2101 client-side throttling
 */
export class CallerThrottle {
  /** Of what has been answered: what is under way says nothing yet. */
  #answered = 0;
  #accepted = 0;
  #atMs = 0;
  #refusedMs = Number.NEGATIVE_INFINITY;
  #busyMs = Number.NEGATIVE_INFINITY;

  /** A request was refused by the far side, because its application has no room, or its sidecar no time. */
  refused(isBusy: boolean, nowMs: number): void {
    this.#refusedMs = nowMs;
    if (isBusy) this.#busyMs = nowMs;
    this.held(nowMs);
  }

  /** A request was refused here, because `refuses` said so. */
  held(nowMs: number): void {
    this.#fade(nowMs);
    this.#answered++;
  }

  /** One was taken by the far side, whatever became of it. */
  accepted(nowMs: number): void {
    this.#fade(nowMs);
    this.#answered++;
    this.#accepted++;
  }

  /** True when a request of this class is better not sent. `uniform` in [0, 1). */
  refuses(priority: number, uniform: number, nowMs: number): boolean {
    return uniform < this.refusedRatio(priority, nowMs);
  }

  /** How much of what arrives for a class is refused here now, in [0, 1). */
  refusedRatio(priority: number, nowMs: number): number {
    this.#fade(nowMs);
    if (this.#answered < answeredMin) return 0;
    const perAccepted = nowMs - this.#busyMs < busyMs ? sentPerAcceptedBusy : sentPerAccepted;
    const sent = ((perAccepted[priority] ?? 1) + (nowMs - this.#refusedMs) / oneMoreMs) * this.#accepted;
    return Math.min(refusedRatioMax, Math.max(0, (this.#answered - sent) / (this.#answered + 1)));
  }

  #fade(nowMs: number): void {
    const passedMs = nowMs - this.#atMs;
    if (passedMs < 20) return;
    this.#atMs = nowMs;
    const left = 0.5 ** (passedMs / halfLifeMs);
    this.#answered *= left;
    this.#accepted *= left;
  }
}
