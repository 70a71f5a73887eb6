import { isAtollError, AtollError } from "#federation/runtime/errors.ts";
import { attestationLimits, type Attested } from "#federation/model/attestation.ts";
import { plainAddress } from "#federation/model/cidr.ts";
import { refusedToken } from "#federation/model/join-refusal.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import { keys } from "./keys.ts";
import { recordCodecs } from "./record-codecs.ts";
import type { AttestationRecord } from "./records.ts";
import { StoreCollection } from "./store-collection.ts";

/** Between two sweeps of what need not be remembered any more, when there is room. */
const sweepMs = 600_000;

/** Records that one joiner has to wait for to be removed; the next ones remove the rest. */
const sweptMax = 256;

/** A lasting document's record is written again when it has been used and the time to remember it grew by so much. */
const refreshMs = 86_400_000;

/** Writers that may come between reading and writing of one use. */
const triesMax = 8;

/** Which key each attested document was used for, at one plane: a document that somebody copied is of no use to him. */
export class Attestations {
  readonly #collection: StoreCollection<AttestationRecord>;
  /** Counted by the last sweep and the writes since; undefined before the first one. */
  #remembered: number | undefined;
  #sweptAtMs = 0;

  constructor(access: CatalogAccess) {
    this.#collection = new StoreCollection(access, keys.attestations, recordCodecs.attestation);
  }

  /**
   * Ties the document to the key, or finds it tied to it: the same key may come again for as long as the document holds.
   * @throws {ATOLL_JOIN_TOKEN_REFUSED} when it belongs to another key, or is too old for a first use.
   * @throws {ATOLL_JOIN_OVERLOADED} beyond `attestationLimits.documentsRemembered`.
   */
  async use(attested: Attested, by: { readonly keySha256: string; readonly address: string }, nowMs: number, signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#useOnce(attested, by, nowMs, signal);
        return;
      } catch (error) {
        if (!isAtollError(error, "ATOLL_STORE_CONFLICT") || tries >= triesMax) throw error;
        signal.throwIfAborted();
      }
    }
  }

  /** Every record that is kept. */
  async list(signal: AbortSignal): Promise<readonly AttestationRecord[]> {
    return (await this.#collection.list(signal)).items.map((item) => item.value);
  }

  async #useOnce(attested: Attested, { keySha256, address }: { readonly keySha256: string; readonly address: string }, nowMs: number, signal: AbortSignal): Promise<void> {
    const id = attested.documentSha256;
    const stored = await this.#collection.get(id, signal);
    const isKept = stored !== undefined && stored.value.rememberUntilMs > nowMs;
    if (isKept && stored.value.keySha256 !== keySha256) throw refusedToken("replayed");
    if (isKept) {
      if (attested.rememberUntilMs < stored.value.rememberUntilMs + refreshMs) return;
      await this.#collection.put(id, { ...stored.value, rememberUntilMs: attested.rememberUntilMs }, { ifRevision: stored.revision }, signal);
      return;
    }
    if (attested.newKeyUntilMs <= nowMs) throw refusedToken("expired");
    await this.#makeRoom(nowMs, signal);
    const { source, subject, rememberUntilMs } = attested;
    const record: AttestationRecord = { documentSha256: id, keySha256, source, subject, address: plainAddress(address).slice(0, 64), usedAtMs: nowMs, rememberUntilMs };
    await this.#collection.put(id, record, { ifRevision: stored?.revision ?? 0 }, signal);
    this.#remembered = (this.#remembered ?? 0) + 1;
  }

  async #makeRoom(nowMs: number, signal: AbortSignal): Promise<void> {
    const isFull = this.#remembered === undefined || this.#remembered >= attestationLimits.documentsRemembered;
    if (!isFull && nowMs - this.#sweptAtMs < sweepMs) return;
    const { items } = await this.#collection.list(signal);
    const over = items.filter((item) => item.value.rememberUntilMs <= nowMs);
    const swept = over.slice(0, sweptMax);
    for (const { id, revision } of swept) {
      // One that was taken up again in the meantime stays.
      await this.#collection.remove(id, { ifRevision: revision }, signal).catch((error: unknown) => {
        if (!isAtollError(error, "ATOLL_STORE_CONFLICT")) throw error;
      });
    }
    this.#remembered = items.length - swept.length;
    if (swept.length === over.length) this.#sweptAtMs = nowMs;
    if (this.#remembered >= attestationLimits.documentsRemembered) {
      throw new AtollError("ATOLL_JOIN_OVERLOADED", `the uses of ${attestationLimits.documentsRemembered} attested documents are remembered; no more are taken until some are over`);
    }
  }
}
