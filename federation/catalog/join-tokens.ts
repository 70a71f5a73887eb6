import { createHash, timingSafeEqual } from "node:crypto";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import { keys } from "./keys.ts";
import { recordCodecs } from "./record-codecs.ts";
import type { JoinTokenRecord } from "./records.ts";
import { StoreCollection } from "./store-collection.ts";

/** Longest life of a token. */
export const joinTokenLifeMsMax = 600_000;

/** Most tokens that are neither used nor expired at one time. */
export const joinTokensMax = 10_000;

/** Between two sweeps of what has expired, when there is room. */
const sweepMs = 60_000;

/** A new token: its id and the secret that is kept nowhere. */
export interface JoinTokenRequest {
  /** RFC 1123 label, unique; shown in lists. */
  readonly id: string;
  /** At least 32 random bytes. */
  readonly secret: Uint8Array;
  readonly purpose: JoinPurpose;
  readonly lifeMs: number;
}

/** The join tokens of one plane: hashes at rest, each of use once. */
export class JoinTokens {
  readonly #access: CatalogAccess;
  readonly #collection: StoreCollection<JoinTokenRecord>;
  /** At most so many wait: those that the last sweep left, and those made since. Undefined before the first one. Only the leader writes, so that nobody else makes any. */
  #waiting: number | undefined;
  #sweptAtMs = 0;

  constructor(access: CatalogAccess) {
    this.#access = access;
    this.#collection = new StoreCollection(access, keys.joinTokens, recordCodecs.joinToken);
  }

  /**
   * Stores a token; expired ones are removed on the way, now and then.
   * @throws {ATOLL_STORE_FULL} beyond `joinTokensMax`. @throws {ATOLL_REQUEST_INVALID} on a longer life or a shorter secret than allowed.
   */
  async create(request: JoinTokenRequest, nowMs: number, signal: AbortSignal): Promise<JoinTokenRecord> {
    if (!(request.lifeMs > 0) || request.lifeMs > joinTokenLifeMsMax) {
      throw new AtollError("ATOLL_REQUEST_INVALID", `a join token lives at most ${joinTokenLifeMsMax / 60_000} minutes`);
    }
    if (request.secret.length < 32) throw new AtollError("ATOLL_REQUEST_INVALID", "the secret of a join token has at least 32 bytes");
    await this.#makeRoom(nowMs, signal);
    const record: JoinTokenRecord = {
      id: request.id,
      secretSha256: sha256(request.secret),
      purpose: request.purpose,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + request.lifeMs,
    };
    await this.#collection.put(record.id, record, { ifRevision: 0 }, signal);
    this.#waiting = (this.#waiting ?? 0) + 1;
    return record;
  }

  async #makeRoom(nowMs: number, signal: AbortSignal): Promise<void> {
    const isFull = this.#waiting === undefined || this.#waiting >= joinTokensMax;
    if (!isFull && Math.abs(nowMs - this.#sweptAtMs) < sweepMs) return;
    const { items } = await this.#collection.list(signal);
    const expired = items.filter((item) => item.value.expiresAtMs <= nowMs);
    for (const item of expired) await this.#collection.remove(item.id, {}, signal);
    this.#waiting = items.length - expired.length;
    this.#sweptAtMs = nowMs;
    if (this.#waiting >= joinTokensMax) throw new AtollError("ATOLL_STORE_FULL", `${joinTokensMax} join tokens are waiting to be used`);
  }

  /**
   * Uses a token up and answers what it was for. Of several callers with the same token one succeeds.
   * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with it: unknown, expired, used, another secret. Always the same message.
   */
  async consume(id: string, secret: Uint8Array, nowMs: number, signal: AbortSignal): Promise<JoinPurpose> {
    const stored = await this.#find(id, signal);
    // Compared also when there is no such token, so that the time taken tells nothing.
    const isRight = timingSafeEqual(Buffer.from(stored?.value.secretSha256 ?? "0".repeat(64)), Buffer.from(sha256(secret)));
    if (stored === undefined || !isRight || stored.value.expiresAtMs <= nowMs) throw refusedToken();
    try {
      await this.#access.commit([this.#collection.removeOp(id, { ifRevision: stored.revision })], signal);
    } catch (error) {
      if (isAtollError(error, "ATOLL_STORE_CONFLICT")) throw refusedToken();
      throw error;
    }
    return stored.value.purpose;
  }

  async #find(id: string, signal: AbortSignal) {
    return /^[a-z0-9-]{1,63}$/.test(id) ? await this.#collection.get(id, signal) : undefined;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
