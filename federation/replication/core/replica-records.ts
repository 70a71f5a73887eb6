import type { Generation } from "#federation/model/snapshot.ts";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { bucketOf, isSameHash, ObjectDigests, type Hash } from "./digest-table.ts";
import type { DeadRecord, HeldObject, RemovalReason, ReplicaChange, ReplicaState } from "./replica-state.ts";

/** Removals remembered; beyond it the oldest is forgotten, and with it the defence against its replay. */
export const deadRecordsMax = 100_000;

/** A `HeldObject` with its bucket, in one object: as four, 100,000 of them take 9 MB more. */
interface LiveRecord extends Generation {
  readonly high: number;
  readonly low: number;
  readonly bucket: number;
}

/** What a receiver knows of every key: what it holds, and what it has seen go. */
export class ReplicaRecords {
  readonly digests = new ObjectDigests();
  readonly #live = new Map<string, LiveRecord>();
  /** Held though the publisher does not offer them any more: outside the digests, which speak of its offer. */
  readonly #heldBack = new Map<string, HeldObject>();
  readonly #dead: Map<string, DeadRecord>;

  constructor({ dead }: Pick<ReplicaState, "dead">) {
    this.#dead = new Map(dead);
  }

  /** Holds a key that is offered; also what was held in an earlier life. */
  hold(id: string, { generation, content }: HeldObject): void {
    const [high, low] = content;
    const bucket = bucketOf(id);
    this.#live.set(id, { epoch: generation.epoch, revision: generation.revision, high, low, bucket });
    this.digests.toggle(id, { bucket, generation, content });
  }

  /** The keys that are held though the publisher does not offer them any more. */
  get heldBack(): ReadonlyMap<string, HeldObject> {
    return this.#heldBack;
  }

  /** What of the publisher's offer is ours, for it to compare; of the keys that are held back it is asked in any case, since nothing else shows that one is deleted. */
  asked(): ReturnType<ObjectDigests["bytes"]> {
    return this.digests.bytes([...this.#heldBack.keys()].map(bucketOf));
  }

  /** True for a key that is held and offered. */
  isOffered(id: string): boolean {
    return this.#live.has(id);
  }

  /** Of the keys that are held and offered, how many `counts`. O(keys). */
  count(counts: (id: string) => boolean): number {
    let count = 0;
    for (const id of this.#live.keys()) if (counts(id)) count++;
    return count;
  }

  /** What a statement about `id` is to us: `changed` says something else at the generation that is held. */
  judge(id: string, { generation, content }: HeldObject): "newer" | "held" | "changed" | "old" | "unknown" {
    const live = this.#live.get(id);
    const held = live === undefined ? this.#heldBack.get(id) : heldOf(live);
    if (held !== undefined) {
      const order = compareGenerations(generation, held.generation);
      if (order !== 0) return order > 0 ? "newer" : "old";
      return isSameHash(content, held.content) ? "held" : "changed";
    }
    const dead = this.#dead.get(id);
    if (dead === undefined) return "unknown";
    const order = compareGenerations(generation, dead.generation);
    // Only a deletion is final for its generation; what was withdrawn may be offered again as it was.
    if (order < 0 || (order === 0 && dead.reason === "deleted")) return "old";
    return order === 0 ? "unknown" : "newer";
  }

  put(id: string, object: OpenedObject, content: Hash): ReplicaChange {
    this.#release(id);
    this.#heldBack.delete(id);
    this.#dead.delete(id);
    this.hold(id, { generation: object.payload.generation, content });
    return { kind: "put", id, object };
  }

  /** Takes note of a signed deletion; a change only when the key is held. */
  bury(id: string, generation: Generation): ReplicaChange | undefined {
    const wasHeld = this.#release(id) !== undefined || this.#heldBack.delete(id);
    const record: DeadRecord = { generation, reason: "deleted" };
    this.#remember(id, record);
    return wasHeld ? { kind: "remove", id, ...record } : undefined;
  }

  /** Removes a key that is held, at the generation that is held. */
  remove(id: string, reason: RemovalReason): ReplicaChange | undefined {
    const held = this.#release(id) ?? this.#heldBack.get(id);
    if (held === undefined) return undefined;
    this.#heldBack.delete(id);
    const record: DeadRecord = { generation: held.generation, reason };
    this.#remember(id, record);
    return { kind: "remove", id, ...record };
  }

  /** Goes on holding a key that is not offered any more. */
  holdBack(id: string): void {
    const held = this.#release(id);
    if (held !== undefined) this.#heldBack.set(id, held);
  }

  /** A key that was held back is offered again as it was. */
  retake(id: string): void {
    const held = this.#heldBack.get(id);
    if (held === undefined) return;
    this.#heldBack.delete(id);
    this.hold(id, held);
  }

  /** The held and offered keys that fall into `buckets`. O(keys). */
  inBuckets(buckets: Uint8Array): readonly string[] {
    const wanted = new Set(buckets);
    return [...this.#live].filter(([, { bucket }]) => wanted.has(bucket)).map(([id]) => id);
  }

  /** Drops what is dead of `origin` up to `floor`: the floor refuses it from now on. */
  forget(origin: string, floor: Generation): void {
    for (const [id, dead] of this.#dead) {
      if (id.startsWith(`${origin}/`) && compareGenerations(dead.generation, floor) <= 0) this.#dead.delete(id);
    }
  }

  #release(id: string): HeldObject | undefined {
    const live = this.#live.get(id);
    if (live === undefined) return undefined;
    this.#live.delete(id);
    const held = heldOf(live);
    this.digests.toggle(id, { bucket: live.bucket, ...held });
    return held;
  }

  #remember(id: string, record: DeadRecord): void {
    this.#dead.delete(id);
    this.#dead.set(id, record);
    for (const oldest of this.#dead.keys()) {
      if (this.#dead.size <= deadRecordsMax) break;
      this.#dead.delete(oldest);
    }
  }
}

function heldOf({ epoch, revision, high, low }: LiveRecord): HeldObject {
  return { generation: { epoch, revision }, content: [high, low] };
}
