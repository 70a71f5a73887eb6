import { createHash, timingSafeEqual } from "node:crypto";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { isAddressWithin, isCidr, plainAddress } from "#federation/model/cidr.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { isProvisioningId, provisioningLimits } from "#federation/model/provisioning-token.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import type { Stored } from "./collection.ts";
import { refusedToken, type JoinRefusal } from "#federation/model/join-refusal.ts";
import { keys } from "./keys.ts";
import { ProvisioningIndex } from "./provisioning-index.ts";
import { recordCodecs } from "./record-codecs.ts";
import type { ProvisioningTokenRecord } from "./records.ts";
import { StoreCollection } from "./store-collection.ts";

/** A new token for many instances. */
export interface ProvisioningTokenRequest {
  /** Made by `createProvisioningId`. */
  readonly id: string;
  /** At least 32 random bytes; kept nowhere. */
  readonly secret: Uint8Array;
  readonly purpose: JoinPurpose;
  readonly usesMax: number;
  readonly lifeMs: number;
  /** Where its users may come from; none means from everywhere. */
  readonly cidrs: readonly string[];
}

/** Who comes with a token, and for what. */
export interface TokenAttempt {
  readonly id: string;
  readonly secret: Uint8Array;
  /** SHA-256 of the public key (SPKI) that is to be certified, lower-case hex; the caller has proven to hold the private half. */
  readonly keySha256: string;
  /** Source address of the connection. */
  readonly address: string;
  /** Whether what the token is for is what it is used for; a use for anything else is refused and not counted. */
  readonly isWanted: (purpose: JoinPurpose) => boolean;
}

/** Writers that may come between reading and writing of one use. Each round of a race has a winner, so that this many at once all get their answer. */
const triesMax = 128;

/** The provisioning tokens of one plane: hashes at rest, a bounded number of uses each, one for each key. */
export class ProvisioningTokens {
  readonly #access: CatalogAccess;
  readonly #collection: StoreCollection<ProvisioningTokenRecord>;
  readonly #index: ProvisioningIndex;

  constructor(access: CatalogAccess) {
    this.#access = access;
    this.#index = new ProvisioningIndex(access);
    this.#collection = new StoreCollection(access, keys.provisioningTokens, recordCodecs.provisioningToken);
  }

  /**
   * Stores a token; expired ones are removed on the way. One read and one transaction, whatever else there is.
   * @throws {ATOLL_REQUEST_INVALID} beyond a bound. @throws {ATOLL_STORE_FULL} beyond `provisioningLimits.tokensMax`.
   * @throws {ATOLL_STORE_CONFLICT} when there is one of that id. @throws {ATOLL_JOIN_OVERLOADED} when too many are made at the same moment.
   */
  async create(request: ProvisioningTokenRequest, nowMs: number, signal: AbortSignal): Promise<ProvisioningTokenRecord> {
    checkRequest(request);
    const { id, secret, purpose, usesMax, lifeMs, cidrs } = request;
    const record: ProvisioningTokenRecord = { id, secretSha256: sha256(secret), purpose, usesMax, uses: [], cidrs: [...cidrs], createdAtMs: nowMs, expiresAtMs: nowMs + lifeMs, isRevoked: false };
    for (let tries = 1; ; tries++) {
      const { op, removed } = await this.#index.adding(record, () => this.list(signal), nowMs, signal);
      try {
        await this.#access.commit([op, this.#collection.putOp(id, record, { ifRevision: 0 }), ...removed.map((over) => this.#collection.removeOp(over))], signal);
        return record;
      } catch (error) {
        if (!isAtollError(error, "ATOLL_STORE_CONFLICT") || (await this.#collection.get(id, signal)) !== undefined) throw error;
        signal.throwIfAborted();
        if (tries >= triesMax) throw new AtollError("ATOLL_JOIN_OVERLOADED", "too many tokens are made at once; try again", { cause: error });
      }
    }
  }

  /** Every token that is kept, revoked ones until they expire. */
  async list(signal: AbortSignal): Promise<readonly ProvisioningTokenRecord[]> {
    return (await this.#collection.list(signal)).items.map((item) => item.value);
  }

  /** The token `id`. @throws {ATOLL_NOT_FOUND} */
  async get(id: string, signal: AbortSignal): Promise<ProvisioningTokenRecord> {
    return (await this.#stored(id, signal)).value;
  }

  /** Ends a token at once; certificates that it has given stay. The answer is false when it was revoked before. @throws {ATOLL_NOT_FOUND} */
  async revoke(id: string, signal: AbortSignal): Promise<boolean> {
    return await this.#swap(id, signal, async () => {
      const { value, revision } = await this.#stored(id, signal);
      if (value.isRevoked) return false;
      await this.#collection.put(id, { ...value, isRevoked: true }, { ifRevision: revision }, signal);
      return true;
    });
  }

  /**
   * Counts a use and answers what the token is for. The key of an earlier use comes in again without being counted, so that an
   * instance whose answer was lost may ask again. However many come at once, no more than `usesMax` keys get in.
   * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with it, in always the same words.
   * @throws {ATOLL_JOIN_OVERLOADED} when too many use it at the same moment; nothing was counted.
   */
  async use(attempt: TokenAttempt, nowMs: number, signal: AbortSignal): Promise<JoinPurpose> {
    return await this.#swap(attempt.id, signal, async () => {
      const stored = isProvisioningId(attempt.id) ? await this.#collection.get(attempt.id, signal) : undefined;
      // Compared also when there is no such token, so that the time taken tells nothing.
      const isRight = timingSafeEqual(Buffer.from(stored?.value.secretSha256 ?? "0".repeat(64)), Buffer.from(sha256(attempt.secret)));
      if (stored === undefined) throw refusedToken("unknown");
      const refusal = isRight ? judge(stored.value, attempt, nowMs) : "secret";
      if (refusal !== undefined) throw refusedToken(refusal);
      const { value, revision } = stored;
      if (value.uses.some((use) => use.keySha256 === attempt.keySha256)) return value.purpose;
      const use = { keySha256: attempt.keySha256, address: plainAddress(attempt.address).slice(0, 64), atMs: nowMs };
      await this.#collection.put(value.id, { ...value, uses: [...value.uses, use] }, { ifRevision: revision }, signal);
      return value.purpose;
    });
  }

  async #stored(id: string, signal: AbortSignal): Promise<Stored<ProvisioningTokenRecord>> {
    const stored = isProvisioningId(id) ? await this.#collection.get(id, signal) : undefined;
    if (stored === undefined) throw new AtollError("ATOLL_NOT_FOUND", `there is no provisioning token ${JSON.stringify(id.slice(0, 80))}`);
    return stored;
  }

  /** Runs `change` again while others write in between. */
  async #swap<T>(id: string, signal: AbortSignal, change: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await change();
      } catch (error) {
        if (!isAtollError(error, "ATOLL_STORE_CONFLICT")) throw error;
        signal.throwIfAborted();
        if (tries >= triesMax) throw new AtollError("ATOLL_JOIN_OVERLOADED", `the token ${id} is used by too many at once; try again`, { cause: error });
      }
    }
  }
}

function judge(token: ProvisioningTokenRecord, attempt: TokenAttempt, nowMs: number): JoinRefusal | undefined {
  if (token.expiresAtMs <= nowMs) return "expired";
  if (token.isRevoked) return "revoked";
  if (!isAddressWithin(attempt.address, token.cidrs)) return "address";
  if (!attempt.isWanted(token.purpose)) return "purpose";
  const isRetry = token.uses.some((use) => use.keySha256 === attempt.keySha256);
  return !isRetry && token.uses.length >= token.usesMax ? "exhausted" : undefined;
}

function checkRequest({ id, secret, usesMax, lifeMs, cidrs }: ProvisioningTokenRequest): void {
  const invalid = (message: string): AtollError => new AtollError("ATOLL_REQUEST_INVALID", message);
  if (!isProvisioningId(id)) throw invalid("the id is not that of a provisioning token");
  if (secret.length < 32) throw invalid("the secret of a provisioning token has at least 32 bytes");
  if (!Number.isInteger(usesMax) || usesMax < 1 || usesMax > provisioningLimits.usesMax) throw invalid(`a provisioning token has 1 to ${provisioningLimits.usesMax} uses`);
  if (!(lifeMs > 0) || lifeMs > provisioningLimits.lifeSecondsMax * 1_000) throw invalid(`a provisioning token lives at most ${provisioningLimits.lifeSecondsMax / 86_400} days`);
  if (cidrs.length > provisioningLimits.cidrsMax || !cidrs.every(isCidr)) throw invalid(`a provisioning token has at most ${provisioningLimits.cidrsMax} networks, each address/bits`);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
