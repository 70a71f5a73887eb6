import { RoundTrip } from "./round-trip.ts";

/** While requests wait on a connection it is asked so often, unless it speaks by itself. */
const busyPingMs = 100;
/** Without requests: often enough that a dead path is known before it is needed, and that nothing on the way forgets it. */
const idlePingMs = 10_000;
const idleLookMs = 1_000;
/** The promise: a black hole is found within three round trips and 350 ms. The ping comes after 100 of them, and two ticks of the wheel. */
const graceMs = 200;
const roundTrips = 3;
/** RFC 6298 §2.3: so many deviations beyond the mean are no surprise. */
const deviations = 4;
/** Until a round trip has been measured. */
const roundTripMsDefault = 300;
/** An own tick that comes so late was no news of the peer: we slept, and its bytes lie unread. Ms. */
const ownStallMs = 50;

/**
 * Pings in band: when to ask, what an answer says of the way, and when silence is too long. Any byte is an answer, so a
 * connection that carries responses is never asked. What this process slept itself is taken out of every wait. Pure.
 */
export class HopPings {
  readonly #way = new RoundTrip();
  #nonce = 0;
  /** The oldest ping without an answer, or 0. */
  #openNonce = 0;
  #sentMs = 0;
  /** When silence began to count: the send of the open ping, moved on by our own stalls. */
  #silentSinceMs = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;

  /** Smoothed, ms; 0 until measured. */
  get roundTripMs(): number {
    return this.#way.smoothedMs ?? 0;
  }

  /** The longest silence that is no reason to give up, ms. */
  get boundMs(): number {
    const smoothedMs = this.#way.smoothedMs ?? roundTripMsDefault;
    return Math.max(roundTrips * smoothedMs, smoothedMs + deviations * this.#way.deviationMs) + graceMs;
  }

  /** Bytes came. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#silentSinceMs = nowMs;
  }

  /** The nonce of a ping to be sent now, or 0. */
  due(nowMs: number, isBusy: boolean): number {
    if (this.#openNonce !== 0) return 0;
    const intervalMs = isBusy ? busyPingMs : idlePingMs;
    // Round trips are measured once a while even where responses make pings needless.
    const isMeasured = nowMs - this.#askedMs < idlePingMs;
    if (nowMs - (isMeasured ? Math.max(this.#heardMs, this.#askedMs) : this.#askedMs) < intervalMs - 1) return 0;
    this.#nonce = this.#nonce === 0x7fff_ffff ? 1 : this.#nonce + 1;
    this.#openNonce = this.#nonce;
    this.#sentMs = nowMs;
    this.#askedMs = nowMs;
    this.#silentSinceMs = nowMs;
    return this.#nonce;
  }

  /** How long from now nothing is to be done, ms. */
  quietMs(nowMs: number, isBusy: boolean): number {
    if (this.#openNonce !== 0) return Math.min(busyPingMs, Math.max(1, this.#silentSinceMs + this.boundMs - nowMs));
    if (!isBusy) return idleLookMs;
    return Math.max(1, Math.min(busyPingMs, Math.max(this.#heardMs, this.#askedMs) + busyPingMs - nowMs));
  }

  answered(nonce: number, nowMs: number): void {
    if (nonce !== this.#openNonce) return;
    this.#openNonce = 0;
    this.#way.sample(nowMs - this.#sentMs);
  }

  /** True when an open ping has met nothing but silence for too long. `lateMs`: how much later than due we look. */
  isSilent(nowMs: number, lateMs: number): boolean {
    if (this.#openNonce === 0) return false;
    if (lateMs > ownStallMs) {
      this.#silentSinceMs += lateMs;
      this.#sentMs += lateMs;
    }
    return nowMs - this.#silentSinceMs >= this.boundMs;
  }
}
