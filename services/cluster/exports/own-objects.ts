import type { Collection } from "#federation/catalog/collection.ts";
import type { ObjectRecord } from "#federation/catalog/records.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { decodeSignedObject, openObject, signObject, type ObjectSigner } from "#federation/wire/signed-object.ts";
import { objectId, type ObjectPayload, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { ClusterSelf } from "../cluster-state.ts";

/** What an object of this cluster should say. */
export interface OwnContent {
  /** Equal fingerprints say the same: then nothing is signed again. */
  readonly fingerprint: string;
  readonly audience: readonly string[];
  /** The value, stamped with the time at which it is said. */
  encode(nowMs: number): Uint8Array;
}

/** What this cluster publishes, as of a position of its own. */
export interface OwnPublication {
  /** The highest position that is stored, so that no restart begins below it. */
  readonly revision: number;
  readonly objects: ReadonlyMap<string, OpenedObject>;
}

export interface OwnObjectsOptions {
  readonly self: ClusterSelf;
  readonly epoch: number;
  readonly objects: Collection<ObjectRecord>;
  readonly signer: () => ObjectSigner;
  readonly clock: Clock;
  /** False over a store that is behind: what is there is shown, and nothing is said. */
  readonly mayWrite: boolean;
}

/** Tombstones kept so that a deletion reaches those who were away; older ones go first. */
export const tombstonesMax = 1_000;

/**
 * The objects that this cluster says itself: signed once, stored before they are published, with positions that only
 * grow over restarts, because receivers refuse one that does not.
 */
export class OwnObjects {
  readonly #options: OwnObjectsOptions;
  readonly #publication = new WatchedValue<OwnPublication>({ revision: 0, objects: new Map() });
  readonly #fingerprints = new Map<string, string>();
  readonly #records = new Map<string, OpenedObject>();
  /** The highest position that was given out, stored or not. */
  #revision = 0;
  /** The highest position that is known to be stored. Tombstones are dropped from the lowest on, so it stays readable. */
  #storedRevision = 0;
  #writes: Promise<void> = Promise.resolve();

  private constructor(options: OwnObjectsOptions) {
    this.#options = options;
  }

  /** Takes up what was published before; in a new epoch everything is said again, because its old positions mean nothing any more. */
  static async open(options: OwnObjectsOptions, signal: AbortSignal): Promise<OwnObjects> {
    const own = new OwnObjects(options);
    const { items } = await options.objects.list(signal);
    for (const { value: record } of items) {
      if (record.origin !== options.self.cluster) continue;
      own.#records.set(`${record.kind}/${record.key}`, openObject(decodeSignedObject(record.signed)));
      own.#storedRevision = Math.max(own.#storedRevision, record.revision);
    }
    own.#revision = own.#storedRevision;
    if (options.mayWrite) await own.#sayAgain((opened) => opened.payload.generation.epoch !== options.epoch, signal);
    own.#publish();
    return own;
  }

  get publication(): Watched<OwnPublication> {
    return this.#publication;
  }

  /** The published, not deleted object of a kind and key. */
  get(kind: string, key: string): OpenedObject | undefined {
    const found = this.#records.get(`${kind}/${key}`);
    return found?.payload.tombstone === false ? found : undefined;
  }

  /** Makes the objects of `kind` exactly `contents` (by key): new and changed ones are signed, others get a tombstone. */
  async replaceKind(kind: string, contents: ReadonlyMap<string, OwnContent>, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      for (const [key, content] of contents) await this.#say(kind, key, content, signal);
      for (const { payload } of [...this.#records.values()]) {
        if (payload.kind === kind && !payload.tombstone && !contents.has(payload.key)) await this.#say(kind, payload.key, undefined, signal);
      }
      await this.#dropOldTombstones(signal);
      this.#publish();
    });
  }

  /** Says one object and leaves the others of its kind alone. */
  async put(kind: string, key: string, content: OwnContent, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      await this.#say(kind, key, content, signal);
      this.#publish();
    });
  }

  /**
   * Says again what was signed by an older key than the present one, at new positions: signing certificates live 30 days,
   * and whoever joins after that could not verify the old signatures.
   */
  async renewSignatures(signal: AbortSignal): Promise<void> {
    const [present = new Uint8Array()] = this.#options.signer().chain;
    await this.#inTurn(async () => {
      await this.#sayAgain(({ signed }) => Buffer.compare(signed.chain[0] ?? new Uint8Array(), present) !== 0, signal);
      this.#publish();
    });
  }

  async #sayAgain(isOld: (opened: OpenedObject) => boolean, signal: AbortSignal): Promise<void> {
    for (const [id, opened] of [...this.#records]) if (isOld(opened)) await this.#store(id, opened.payload, signal);
  }

  async #say(kind: string, key: string, content: OwnContent | undefined, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const id = `${kind}/${key}`;
    const before = this.#records.get(id)?.payload;
    if (content !== undefined && before?.tombstone === false && this.#isSaid(id, before.value, content)) return;
    await this.#store(
      id,
      {
        kind,
        key,
        audience: content?.audience ?? before?.audience ?? [],
        tombstone: content === undefined,
        value: content?.encode(clock.nowMs()) ?? new Uint8Array(),
      },
      signal,
    );
    if (content === undefined) this.#fingerprints.delete(id);
    else this.#fingerprints.set(id, content.fingerprint);
  }

  /** Signs at the next position and makes it durable. */
  async #store(id: string, said: Pick<ObjectPayload, "kind" | "key" | "audience" | "tombstone" | "value">, signal: AbortSignal): Promise<void> {
    const { self, epoch, objects, signer, clock } = this.#options;
    const { kind, key, audience, tombstone, value } = said;
    // Taken before the write: one whose outcome is unknown may be stored, and a position is never used twice.
    const revision = ++this.#revision;
    const header = { federation: self.federation, origin: self.cluster, originTrustDomain: self.trustDomain };
    const opened = signObject({ ...header, kind, key, generation: { epoch, revision }, audience, tombstone, value }, signer());
    await objects.put(objectId(opened.payload), recordOf(opened, clock.nowMs()), {}, signal);
    this.#storedRevision = revision;
    this.#records.set(id, opened);
  }

  /** After a restart the fingerprint is not known; then the stored value, stamped alike, says whether it is the same. */
  #isSaid(id: string, value: Uint8Array, content: OwnContent): boolean {
    const known = this.#fingerprints.get(id);
    if (known !== undefined) return known === content.fingerprint;
    const same = Buffer.compare(withoutStamp(value), withoutStamp(content.encode(0))) === 0;
    if (same) this.#fingerprints.set(id, content.fingerprint);
    return same;
  }

  async #dropOldTombstones(signal: AbortSignal): Promise<void> {
    const dead = [...this.#records.entries()].filter(([, opened]) => opened.payload.tombstone);
    dead.sort(([, a], [, b]) => a.payload.generation.revision - b.payload.generation.revision);
    for (const [id, { payload }] of dead.slice(0, Math.max(0, dead.length - tombstonesMax))) {
      await this.#options.objects.remove(objectId(payload), {}, signal);
      this.#records.delete(id);
    }
  }

  #publish(): void {
    const objects = new Map([...this.#records.values()].map((opened) => [objectId(opened.payload), opened]));
    this.#publication.set({ revision: this.#storedRevision, objects });
  }

  /** Positions are handed out one after the other, so changes wait for each other. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#writes.then(work);
    this.#writes = turn.catch(() => undefined);
    return turn;
  }
}

/** JSON text with the time at which it was said taken out. */
function withoutStamp(value: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(value).toString("utf8").replace(/"asOfMs":\d+/, '"asOfMs":0'));
}
