import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { clusterJwtAuthoritiesMax, type ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { jwtAuthorityOf, type JwtSigner } from "#federation/identity/jwt-svid.ts";
import { createKeyPair, exportPrivateKeyPem, parseKeyPair, parsePublicKey } from "#federation/identity/key-pair.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { advanceJwtKeys, jwtKeySignsMs, type HeldJwtKey, type JwtKeyState, type RetiredJwtKey } from "./jwt-key-state.ts";

export interface JwtKeysOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A key signs when it has been published for so long, in ms, so that every verifier that can be reached has it. */
export const jwtKeyKnownMs = 3_600_000;

/**
 * How long the key of another replica of this plane stays published after that has led, in ms: one that leads again signs at once, by a key that
 * everybody knows.
 */
export const otherReplicaMs = 2 * jwtKeySignsMs;

/** The keys by which a cluster's plane signs JWT-SVIDs, in one file of its own (0600). */
export class JwtKeys {
  readonly #options: JwtKeysOptions;
  readonly #path: string;
  /** By key id, since when, in monotonic ms, this process knows that the key is published. */
  readonly #publishedMs = new Map<string, number>();
  #state: JwtKeyState;
  #signer: JwtSigner;

  private constructor(options: JwtKeysOptions, path: string, state: JwtKeyState) {
    this.#options = options;
    this.#path = path;
    this.#state = state;
    this.#signer = signerOf(state.current);
  }

  /**
   * Reads the keys, or makes the first. A file that cannot be read is moved aside and others are made: what its keys have signed is verified by
   * what is published, as that of another replica.
   */
  static open(options: JwtKeysOptions): JwtKeys {
    const path = join(options.dataDir, "ca", "jwt.json");
    const kept = existsSync(path) ? readState(path, options.logger) : undefined;
    if (kept !== undefined) return new JwtKeys(options, path, kept);
    const keys = new JwtKeys(options, path, { current: makeKey(options.clock.nowMs()), retired: [] });
    keys.#write(keys.#state);
    return keys;
  }

  /** By what is signed now; undefined until it is published. */
  get signer(): JwtSigner | undefined {
    return this.#publishedMs.has(this.#state.current.keyId) ? this.#signer : undefined;
  }

  /** Since when the present key signs, in wall-clock ms. */
  get sinceMs(): number {
    return this.#state.current.sinceMs;
  }

  /**
   * Takes the steps that are due and says what is to be published, given what is published in this cluster's name: another replica's
   * keys among it stay for a while. `isHeard`: what is published is known to have left this cluster.
   */
  turn(published: readonly ClusterJwtAuthority[], isHeard: boolean): readonly ClusterJwtAuthority[] {
    const nowMs = this.#options.clock.nowMs();
    const { next } = this.#state;
    this.#advance(nowMs, isHeard && next !== undefined && this.#isKnown(next.keyId));
    const own = [this.#state.current, ...(this.#state.next === undefined ? [] : [this.#state.next])].map((key): ClusterJwtAuthority => authorityOf(key));
    const retired = this.#state.retired.map(({ keyId, publicKey, untilMs }): ClusterJwtAuthority => ({ keyId, publicKey: Buffer.from(publicKey, "base64"), untilMs }));
    const ours = [...own, ...retired];
    const others = published
      .filter(({ keyId }) => !ours.some((one) => one.keyId === keyId))
      .map((other) => ({ ...other, untilMs: other.untilMs ?? nowMs + otherReplicaMs }))
      .filter(({ untilMs }) => untilMs > nowMs)
      .toSorted((a, b) => b.untilMs - a.untilMs);
    return [...ours, ...others].slice(0, clusterJwtAuthoritiesMax);
  }

  /** Notes that `authorities` are published. */
  published(authorities: readonly ClusterJwtAuthority[]): void {
    for (const { keyId } of authorities) if (!this.#publishedMs.has(keyId)) this.#publishedMs.set(keyId, this.#options.clock.monotonicMs());
    for (const keyId of this.#publishedMs.keys()) if (!authorities.some((authority) => authority.keyId === keyId)) this.#publishedMs.delete(keyId);
  }

  #isKnown(keyId: string): boolean {
    const sinceMs = this.#publishedMs.get(keyId);
    return sinceMs !== undefined && this.#options.clock.monotonicMs() - sinceMs >= jwtKeyKnownMs;
  }

  /** A disk that takes nothing puts it off: the present key goes on. */
  #advance(nowMs: number, isNextKnown: boolean): void {
    const { logger } = this.#options;
    const next = advanceJwtKeys(this.#state, nowMs, { isNextKnown, makeKey: () => makeKey(nowMs), publicKeyOf: (key) => Buffer.from(authorityOf(key).publicKey).toString("base64") });
    if (next === this.#state) return;
    try {
      this.#write(next);
    } catch (error) {
      logger.warn("The keys of JWT-SVIDs could not be written; the present one goes on.", { reason: describeError(error) });
      return;
    }
    if (next.current !== this.#state.current) {
      this.#signer = signerOf(next.current);
      logger.info("JWT-SVIDs are signed by the next key.", { keyId: next.current.keyId });
    }
    this.#state = next;
  }

  #write(state: JwtKeyState): void {
    writePrivateFileSync(this.#path, JSON.stringify(state));
  }
}

function makeKey(nowMs: number): HeldJwtKey {
  const { publicKey, privateKey } = createKeyPair();
  return { keyId: jwtAuthorityOf(publicKey).keyId, privateKeyPem: exportPrivateKeyPem(privateKey), sinceMs: nowMs };
}

function authorityOf({ privateKeyPem }: HeldJwtKey): ClusterJwtAuthority {
  return jwtAuthorityOf(parseKeyPair(privateKeyPem).publicKey);
}

function signerOf({ keyId, privateKeyPem }: HeldJwtKey): JwtSigner {
  return { keyId, privateKey: parseKeyPair(privateKeyPem).privateKey };
}

function readState(path: string, logger: Logger): JwtKeyState | undefined {
  try {
    const { current, next, retired } = JSON.parse(readFileSync(path, "utf8")) as Partial<JwtKeyState>;
    if (!Array.isArray(retired)) throw new AtollError("ATOLL_CONFIG_INVALID", "it names no retired keys");
    return { current: heldKeyOf(current), ...(next === undefined ? {} : { next: heldKeyOf(next) }), retired: (retired as readonly RetiredJwtKey[]).map(retiredKeyOf) };
  } catch (error) {
    renameSync(path, `${path}.corrupt`);
    // What the platform says of it may quote the file, so that it stays out.
    logger.warn("The keys of JWT-SVIDs could not be read and were moved aside; others are made.", { path: `${path}.corrupt`, ...(error instanceof AtollError ? { reason: error.message } : {}) });
    return undefined;
  }
}

function heldKeyOf(key: Partial<HeldJwtKey> | undefined): HeldJwtKey {
  const { privateKeyPem, sinceMs } = key ?? {};
  if (typeof privateKeyPem !== "string" || typeof sinceMs !== "number") throw new Error("a key is missing");
  return { keyId: jwtAuthorityOf(parseKeyPair(privateKeyPem).publicKey).keyId, privateKeyPem, sinceMs };
}

function retiredKeyOf({ publicKey, untilMs }: RetiredJwtKey): RetiredJwtKey {
  if (typeof publicKey !== "string" || typeof untilMs !== "number") throw new Error("a retired key is missing");
  return { keyId: jwtAuthorityOf(parsePublicKey(Buffer.from(publicKey, "base64"))).keyId, publicKey, untilMs };
}
