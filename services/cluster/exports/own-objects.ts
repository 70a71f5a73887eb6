import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CatalogOp } from "#federation/catalog/collection.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
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
  readonly catalog: Pick<Catalog, "objects" | "commit">;
  readonly signer: () => ObjectSigner;
  readonly clock: Clock;
  /** False over a store that is behind, and without a key to sign by: what is there is shown, and nothing is said. */
  readonly mayWrite: boolean;
}

/** Objects that are stored together: so many signatures are a few ms, in which nothing else goes on. */
const storedTogetherMax = 32;
/** Bytes of their values together: a transaction's bound is more than twice that. */
const bytesTogetherMax = 512 * 1024;

/** Tombstones kept so that a deletion reaches those who were away; older ones go first. */
export const tombstonesMax = 1_000;

/** What one object is to say; without a fingerprint it says what it has said before, or that it is gone. */
type Said = Pick<ObjectPayload, "kind" | "key" | "audience" | "tombstone" | "value"> & { readonly fingerprint?: string };

/**
 * The objects that this cluster says itself: signed once, stored before they are published, with positions that only
 * grow over restarts, because receivers refuse one that does not. What is said at the same time is stored together.
 */
export class OwnObjects {
  readonly #options: OwnObjectsOptions;
  readonly #publication = new WatchedValue<OwnPublication>({ revision: 0, objects: new Map() });
  readonly #fingerprints = new Map<string, string>();
  /** By object id, what is stored; tombstones too. */
  #objects = OrderedMap.of<OpenedObject>();
  #tombstones = 0;
  /** By kind, the contents that were said last, all of them. */
  readonly #said = new Map<string, ReadonlyMap<string, OwnContent>>();
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
    const { items } = await options.catalog.objects.list(signal, `${options.self.cluster}/`);
    for (const { value: record } of items) {
      if (record.origin !== options.self.cluster) continue;
      own.#keep(openObject(decodeSignedObject(record.signed)));
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
    const found = this.#objects.get(this.#idOf(kind, key));
    return found?.payload.tombstone === false ? found : undefined;
  }

  /**
   * Makes the objects of `kind` exactly `contents` (by key): new and changed ones are signed, others get a tombstone. O(changes) where
   * these contents and the last ones share what they have in common.
   */
  async replaceKind(kind: string, contents: ReadonlyMap<string, OwnContent>, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const before = this.#said.get(kind);
      // Until all is stored it is not known what has been said.
      this.#said.delete(kind);
      const keys = before === undefined ? new Set([...this.#keysOf(kind), ...contents.keys()]) : changedKeys(before, contents);
      await this.#store([...keys].flatMap((key) => this.#saying(kind, key, contents.get(key)) ?? []), signal);
      this.#said.set(kind, contents);
      await this.#dropOldTombstones(signal);
      this.#publish();
    });
  }

  /** Says one object and leaves the others of its kind alone. */
  async put(kind: string, key: string, content: OwnContent, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      this.#said.delete(kind);
      const saying = this.#saying(kind, key, content);
      if (saying !== undefined) await this.#store([saying], signal);
      this.#publish();
    });
  }

  /**
   * Says again what was signed by an older key than the present one, at new positions: signing certificates live 30 days,
   * and whoever joins after that could not verify the old signatures. So too what is of an epoch before, where there was no key when it was opened.
   */
  async renewSignatures(signal: AbortSignal): Promise<void> {
    const [present = new Uint8Array()] = this.#options.signer().chain;
    await this.#inTurn(async () => {
      await this.#sayAgain(({ payload, signed }) => payload.generation.epoch !== this.#options.epoch || Buffer.compare(signed.chain[0] ?? new Uint8Array(), present) !== 0, signal);
      this.#publish();
    });
  }

  async #sayAgain(isOld: (opened: OpenedObject) => boolean, signal: AbortSignal): Promise<void> {
    await this.#store([...this.#objects.values()].filter(isOld).map(({ payload }) => payload), signal);
  }

  /** What is to be said of a key now: nothing where it has been. */
  #saying(kind: string, key: string, content: OwnContent | undefined): Said | undefined {
    const before = this.get(kind, key)?.payload;
    if (content === undefined) return before && { kind, key, audience: before.audience, tombstone: true, value: new Uint8Array() };
    if (before !== undefined && this.#isSaid(before, content)) return undefined;
    return { kind, key, audience: content.audience, tombstone: false, value: content.encode(this.#options.clock.nowMs()), fingerprint: content.fingerprint };
  }

  #keysOf(kind: string): readonly string[] {
    return [...this.#objects.withPrefix(this.#idOf(kind, ""))].map(([, { payload }]) => payload.key);
  }

  #idOf(kind: string, key: string): string {
    return objectId({ origin: this.#options.self.cluster, kind, key });
  }

  /** Signs each at the next position, and makes them durable in as many transactions as the bounds ask for. */
  async #store(all: readonly Said[], signal: AbortSignal): Promise<void> {
    const { catalog, clock } = this.#options;
    for (let start = 0; start < all.length; ) {
      const together: { readonly said: Said; readonly opened: OpenedObject }[] = [];
      const ops: CatalogOp[] = [];
      for (let bytes = 0; start < all.length && together.length < storedTogetherMax && bytes < bytesTogetherMax; start++) {
        const said = all[start] as Said;
        const opened = this.#sign(said);
        const op = catalog.objects.putOp(objectId(opened.payload), recordOf(opened, clock.nowMs()));
        together.push({ said, opened });
        ops.push(op);
        bytes += op.value?.length ?? 0;
      }
      await catalog.commit(ops, signal);
      for (const { said, opened } of together) this.#stored(said, opened);
    }
  }

  #stored({ fingerprint }: Said, opened: OpenedObject): void {
    const { payload } = opened;
    this.#keep(opened);
    this.#storedRevision = payload.generation.revision;
    const id = objectId(payload);
    if (fingerprint !== undefined) this.#fingerprints.set(id, fingerprint);
    else if (payload.tombstone) this.#fingerprints.delete(id);
  }

  #keep(opened: OpenedObject): void {
    const id = objectId(opened.payload);
    this.#forget(id);
    this.#objects = this.#objects.with(id, opened);
    if (opened.payload.tombstone) this.#tombstones++;
  }

  #forget(id: string): void {
    if (this.#objects.get(id)?.payload.tombstone === true) this.#tombstones--;
    this.#objects = this.#objects.without(id);
  }

  #sign({ kind, key, audience, tombstone, value }: Said): OpenedObject {
    const { self, epoch, signer } = this.#options;
    // Taken before the write: one whose outcome is unknown may be stored, and a position is never used twice.
    const revision = ++this.#revision;
    const header = { federation: self.federation, origin: self.cluster, originTrustDomain: self.trustDomain };
    return signObject({ ...header, kind, key, generation: { epoch, revision }, audience, tombstone, value }, signer());
  }

  /** After a restart the fingerprint is not known; then the stored value, stamped alike, says whether it is the same. */
  #isSaid(payload: ObjectPayload, content: OwnContent): boolean {
    const id = objectId(payload);
    const known = this.#fingerprints.get(id);
    if (known !== undefined) return known === content.fingerprint;
    const same = Buffer.compare(withoutStamp(payload.value), withoutStamp(content.encode(0))) === 0;
    if (same) this.#fingerprints.set(id, content.fingerprint);
    return same;
  }

  async #dropOldTombstones(signal: AbortSignal): Promise<void> {
    if (this.#tombstones <= tombstonesMax) return;
    const dead = [...this.#objects].filter(([, { payload }]) => payload.tombstone);
    dead.sort(([, a], [, b]) => a.payload.generation.revision - b.payload.generation.revision);
    for (const [id] of dead.slice(0, dead.length - tombstonesMax)) {
      await this.#options.catalog.objects.remove(id, {}, signal);
      this.#forget(id);
    }
  }

  #publish(): void {
    this.#publication.set({ revision: this.#storedRevision, objects: this.#objects });
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
