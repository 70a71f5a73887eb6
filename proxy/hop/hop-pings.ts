import { createRoundTrip, echoBoundMs, recordEcho } from "#federation/health/round-trip.ts";

/**
 * While requests wait on a connection that says nothing it is asked so often: with the bound on an echo, and two ticks of the
 * wheel, that finds a black hole within the promised 3 × RTT + 350 ms.
 */
const busyPingMs = 60;
/** Without requests: often enough that a dead path is known before it is needed, and that nothing on the way forgets it. */
const idlePingMs = 10_000;
const idleLookMs = 1_000;
/**
 * Silence is an end when it lasts so many times as long as the way explains, and not before this: a host that is short of
 * processors leaves a process without one for a second or two, and what it then does counts for nothing where nobody waited.
 */
const endFactor = 4;
const endMsMin = 3_000;
/** So many echoes say how long the way is. */
const wayEchoesMin = 3;

/** What is to be thought of a connection's silence: nothing, that it may have ended, that it has. */
export type Silence = "none" | "doubt" | "end";

/**
 * Pings in band: when to ask, what an answer says of the way, and when silence is too long. Any byte breaks the silence, so a
 * connection that carries responses is asked only to measure it. All times are those of a clock that stands while this process
 * does not run, so that its own sleep is nobody's silence. Pure.
 */
export class HopPings {
  readonly #way = createRoundTrip();
  #echoes = 0;
  #shortestMs = Number.POSITIVE_INFINITY;
  #nonce = 0;
  /** The ping that has no answer yet, or 0. */
  #openNonce = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;

  /** Smoothed, ms; 0 until measured. */
  get roundTripMs(): number {
    return this.#way.smoothedMs ?? 0;
  }

  /** How long the way itself is, ms: the shortest echo of several, since a busy process makes each of them late; 0 until known. */
  get wayMs(): number {
    return this.#echoes < wayEchoesMin ? 0 : this.#shortestMs;
  }

  /** Bytes came. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /** The nonce of a ping to be sent now, or 0. */
  due(nowMs: number, isBusy: boolean): number {
    if (this.#openNonce !== 0) return 0;
    // Measured once a while, even where responses make asking needless.
    const isMeasured = nowMs - this.#askedMs < idlePingMs;
    const quietSinceMs = isMeasured ? Math.max(this.#heardMs, this.#askedMs) : this.#askedMs;
    if (nowMs - quietSinceMs < (isBusy ? busyPingMs : idlePingMs)) return 0;
    this.#nonce = this.#nonce === 0x7fff_ffff ? 1 : this.#nonce + 1;
    this.#openNonce = this.#nonce;
    this.#askedMs = nowMs;
    return this.#nonce;
  }

  /** How long from now nothing is to be done, ms. */
  quietMs(nowMs: number, isBusy: boolean): number {
    if (this.#openNonce !== 0) return Math.min(busyPingMs, Math.max(1, this.#silentSinceMs + this.#nextBoundMs(nowMs) - nowMs));
    if (!isBusy) return idleLookMs;
    return Math.max(1, Math.min(busyPingMs, this.#silentSinceMs + busyPingMs - nowMs));
  }

  answered(nonce: number, nowMs: number): void {
    if (nonce !== this.#openNonce) return;
    this.#openNonce = 0;
    this.#echoes++;
    this.#shortestMs = Math.min(this.#shortestMs, nowMs - this.#askedMs);
    recordEcho(this.#way, nowMs - this.#askedMs, nowMs);
  }

  /** What an open ping that has met nothing but silence says. */
  silence(nowMs: number): Silence {
    if (this.#openNonce === 0) return "none";
    const silentMs = nowMs - this.#silentSinceMs;
    const boundMs = echoBoundMs(this.#way, nowMs);
    if (silentMs < boundMs) return "none";
    return silentMs < endAfterMs(boundMs) ? "doubt" : "end";
  }

  /** The doubt, and then the end. */
  #nextBoundMs(nowMs: number): number {
    const boundMs = echoBoundMs(this.#way, nowMs);
    return nowMs - this.#silentSinceMs < boundMs ? boundMs : endAfterMs(boundMs);
  }

  get #silentSinceMs(): number {
    return Math.max(this.#heardMs, this.#askedMs);
  }
}

function endAfterMs(boundMs: number): number {
  return Math.max(endMsMin, endFactor * boundMs);
}
