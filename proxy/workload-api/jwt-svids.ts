import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { JwtResponse } from "#federation/wire/workload-messages.ts";

/** Asks the plane for a token. */
export type IssueJwt = (audience: readonly string[], signal: AbortSignal) => Promise<JwtResponse>;

export interface JwtSvidsOptions {
  readonly issue: IssueJwt;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends what is asked. */
  readonly signal: AbortSignal;
  readonly onKept?: (what: "kept" | "evicted") => void;
}

/** Tokens kept; the one that was asked for longest ago goes first. */
export const jwtSvidsMax = 256;
/** Questions to the plane at a time. */
export const jwtAsksMax = 32;

/** After a failure nobody asks the plane for so long, doubled by each further one. */
const pauseMsMin = 250;
const pauseMsMax = 8_000;

interface Kept {
  readonly token: string;
  /** By the clock that no one sets: of its half, and its end. */
  readonly halfMonotonicMs: number;
  readonly endMonotonicMs: number;
  /** By the wall clock, which goes on while a machine sleeps. */
  readonly endMs: number;
}

/**
 * The JWT-SVIDs of a sidecar's workload, by audience: each is given to everybody who asks until half of its life is over, and until its end
 * while the plane gives no newer one.
 */
export class JwtSvids {
  readonly #options: JwtSvidsOptions;
  /** In order of last use. */
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<string>>();
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: JwtSvidsOptions) {
    this.#options = options;
  }

  /** Tokens that are kept, over or not. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * A token for exactly `audience`.
   * @throws {ATOLL_PEER_UNAVAILABLE} while the plane is left alone after a failure, or too much is asked. @throws what asking the plane throws.
   */
  async get(audience: readonly string[]): Promise<string> {
    const { clock, onKept } = this.#options;
    const key = JSON.stringify(audience);
    const kept = this.#usable(key);
    if (kept !== undefined && clock.monotonicMs() < kept.halfMonotonicMs) {
      onKept?.("kept");
      return kept.token;
    }
    try {
      return await (this.#asking.get(key) ?? this.#ask(key, audience));
    } catch (error) {
      if (kept === undefined || this.#usable(key) === undefined) throw error;
      onKept?.("kept");
      return kept.token;
    }
  }

  #usable(key: string): Kept | undefined {
    const { clock } = this.#options;
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (clock.monotonicMs() >= kept.endMonotonicMs || clock.nowMs() >= kept.endMs) return undefined;
    this.#kept.set(key, kept);
    return kept;
  }

  #ask(key: string, audience: readonly string[]): Promise<string> {
    const { clock } = this.#options;
    if (clock.monotonicMs() < this.#notBeforeMs) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the plane gave no JWT-SVID just now, and is asked again later");
    if (this.#asking.size >= jwtAsksMax) throw new AtollError("ATOLL_PEER_UNAVAILABLE", `${jwtAsksMax} JWT-SVIDs are being asked for`);
    const asked = this.#asked(key, audience).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    return asked;
  }

  async #asked(key: string, audience: readonly string[]): Promise<string> {
    const { issue, clock, random, signal } = this.#options;
    // From before the question: it lives for no longer than that, by whatever clock.
    const sinceMs = clock.monotonicMs();
    try {
      const { token, issuedAtMs, expiresAtMs } = await issue(audience, signal);
      const lifeMs = Math.max(0, expiresAtMs - issuedAtMs);
      this.#failures = 0;
      this.#keep(key, { token, halfMonotonicMs: sinceMs + lifeMs / 2, endMonotonicMs: sinceMs + lifeMs, endMs: expiresAtMs });
      return token;
    } catch (error) {
      this.#notBeforeMs = clock.monotonicMs() + jittered(random, Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(this.#failures, 10)), 0.25);
      this.#failures++;
      throw error;
    }
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size <= jwtSvidsMax || oldest === undefined) return;
    this.#kept.delete(oldest);
    this.#options.onKept?.("evicted");
  }
}
