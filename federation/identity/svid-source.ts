import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { X509Svid } from "./svid.ts";

/** What happens to an identity over time; for logs and counters. */
export type SvidEvent =
  | { readonly kind: "renewed"; readonly svid: X509Svid }
  | { readonly kind: "renewalFailed"; readonly error: unknown; readonly failuresInRow: number; readonly retryInMs: number }
  | { readonly kind: "expired"; readonly svid: X509Svid }
  /** By the clock of this host it is not valid for `earlyMs` yet: that is behind, and nobody's certificate is valid here. Once for each SVID. */
  | { readonly kind: "early"; readonly svid: X509Svid; readonly earlyMs: number };

/** Where SVIDs come from and how time passes. */
export interface SvidSourceOptions {
  /** An SVID from disk or from joining; an expired one is good for nothing but for asking for the next. */
  readonly initial: X509Svid | undefined;
  /**
   * Gets the next SVID: makes a key, asks the plane, keeps the result on disk. `newest` proves the caller: the last that there was,
   * which may have expired; undefined when there never was one.
   */
  readonly issue: (newest: X509Svid | undefined, signal: AbortSignal) => Promise<X509Svid>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent?: (event: SvidEvent) => void;
}

/** Renewal happens at this share of the lifetime that was left at issue … */
const renewalRatio = 0.5;
/** … moved by at most this much either way, so that proxies that started together do not renew together. */
const renewalJitterRatio = 0.1;
const retryMsMin = 1_000;
const retryMsMax = 60_000;
/** While there is no valid one nothing is served, so whoever issues is asked again soon after it is back. */
const lapsedRetryMsMax = 4_000;
/** A pause takes no more than this share of the life that is left, so that a short life too has several attempts. */
const retryLifeRatio = 0.25;
/** One attempt may take this long. */
const issueTimeoutMs = 30_000;
/** The wall clock may jump under a running timer, as it does for a machine that slept, so it is looked at again at least this often. */
const lookMsMax = 4_000;

/**
 * The current SVID of a process. `run` renews it at half its life and retries with growing, jittered pauses; an expired one
 * becomes undefined, which closes what depends on it. Readers follow it as a `Watched`.
 */
export class SvidSource implements Watched<X509Svid | undefined> {
  readonly #options: SvidSourceOptions;
  readonly #value: WatchedValue<X509Svid | undefined>;
  #newest: X509Svid | undefined;
  #wake: (() => void) | undefined;
  #renewalAsked = false;
  #early: X509Svid | undefined;

  constructor(options: SvidSourceOptions) {
    this.#options = options;
    const { initial, clock } = options;
    this.#newest = initial;
    this.#value = new WatchedValue(initial !== undefined && isCurrent(initial, clock.nowMs()) ? initial : undefined);
  }

  /** The SVID to use, undefined while there is none that is valid. */
  get current(): X509Svid | undefined {
    const svid = this.#value.current;
    return svid !== undefined && isCurrent(svid, this.#options.clock.nowMs()) ? svid : undefined;
  }

  changes(signal: AbortSignal): AsyncIterable<X509Svid | undefined> {
    return this.#value.changes(signal);
  }

  /** Renews as soon as possible, for instance after an authority was tainted. */
  renewNow(): void {
    this.#renewalAsked = true;
    this.#wake?.();
  }

  /** Renews until `signal` aborts. Run it once. */
  async run(signal: AbortSignal): Promise<void> {
    let renewAtMs = this.#firstRenewalMs();
    let failuresInRow = 0;
    while (!signal.aborted) {
      this.#dropExpired();
      this.#tellEarly();
      const nowMs = this.#options.clock.nowMs();
      if (!this.#renewalAsked && renewAtMs > nowMs) {
        await this.#pause(Math.min(renewAtMs - nowMs, this.#msToExpiry(nowMs), lookMsMax), signal);
        continue;
      }
      this.#renewalAsked = false;
      const failure = await this.#renew(signal);
      if (signal.aborted) return;
      failuresInRow = failure === undefined ? 0 : failuresInRow + 1;
      renewAtMs = failure === undefined ? this.#nextRenewalMs() : this.#afterFailure(failure.error, failuresInRow);
    }
  }

  async #renew(signal: AbortSignal): Promise<{ readonly error: unknown } | undefined> {
    using deadline = deadlineSignal(this.#options.clock, issueTimeoutMs, signal);
    try {
      const svid = await this.#options.issue(this.#newest, deadline.signal);
      // It proves who asks for the next in any case.
      this.#newest = svid;
      refuseEnded(svid, this.#options.clock.nowMs());
      this.#value.set(svid);
      this.#options.onEvent?.({ kind: "renewed", svid });
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  #afterFailure(error: unknown, failuresInRow: number): number {
    const { clock, random, onEvent } = this.#options;
    const nowMs = clock.nowMs();
    const { current } = this;
    const mostMs = current === undefined ? lapsedRetryMsMax : Math.min(retryMsMax, retryLifeRatio * (current.notAfterMs - nowMs));
    const baseMs = Math.max(retryMsMin, Math.min(retryMsMin * 2 ** Math.min(failuresInRow - 1, 16), mostMs));
    const retryInMs = jittered(random, baseMs, 0.25);
    onEvent?.({ kind: "renewalFailed", error, failuresInRow, retryInMs });
    return nowMs + retryInMs;
  }

  /** Half the whole life for one from disk, so that many restarts do not put renewal off for ever. */
  #firstRenewalMs(): number {
    const svid = this.#value.current;
    if (svid === undefined) return this.#options.clock.nowMs();
    return svid.notBeforeMs + this.#jitteredHalf(svid.notAfterMs - svid.notBeforeMs);
  }

  /** Half of what is left for a fresh one: its start lies before its issue. An answer without life left is asked for again later. */
  #nextRenewalMs(): number {
    const nowMs = this.#options.clock.nowMs();
    const svid = this.#value.current;
    return nowMs + Math.max(retryMsMin, svid === undefined ? 0 : this.#jitteredHalf(svid.notAfterMs - nowMs));
  }

  #jitteredHalf(lifeMs: number): number {
    return jittered(this.#options.random, lifeMs * renewalRatio, renewalJitterRatio);
  }

  #msToExpiry(nowMs: number): number {
    const svid = this.#value.current;
    return svid === undefined ? lookMsMax : Math.max(0, svid.notAfterMs - nowMs);
  }

  #dropExpired(): void {
    const svid = this.#value.current;
    if (svid === undefined || isCurrent(svid, this.#options.clock.nowMs())) return;
    this.#value.set(undefined);
    this.#options.onEvent?.({ kind: "expired", svid });
  }

  #tellEarly(): void {
    const svid = this.#value.current;
    const earlyMs = svid === undefined ? 0 : svid.notBeforeMs - this.#options.clock.nowMs();
    if (svid === undefined || earlyMs <= 0 || svid === this.#early) return;
    this.#early = svid;
    this.#options.onEvent?.({ kind: "early", svid, earlyMs });
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#options.clock.schedule(delayMs, done);
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}

/** @throws {ATOLL_CERTIFICATE_INVALID} for one that is of no use here though it was issued just now */
function refuseEnded(svid: X509Svid, nowMs: number): void {
  if (isCurrent(svid, nowMs)) return;
  throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the identity that was issued just now ended ${describeAge(nowMs - svid.notAfterMs)} ago by the clock of this host: it is ahead of the plane's, or the answer took longer than the identity lives`);
}

function isCurrent({ notAfterMs }: X509Svid, nowMs: number): boolean {
  return notAfterMs > nowMs;
}
