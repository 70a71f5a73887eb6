import { transactionOpsMax } from "#federation/catalog/catalog-access.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CatalogOp } from "#federation/catalog/collection.ts";
import type { AppliedPosition, HeartbeatRecord, ObjectRecord } from "#federation/catalog/records.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { abortedError, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { encodeSignedObject, viewSignedObject } from "#federation/wire/signed-object.ts";
import { contentHash, type Hash } from "../core/digest-table.ts";
import { emptyReplicaState, type HeldObject, type ReplicaChange, type ReplicaCursor, type ReplicaState, type Witness } from "../core/replica-state.ts";
import type { ReplicaStore } from "./replica-store.ts";

export interface CatalogReplicaOptions {
  readonly catalog: Catalog;
  /** Whose frames are applied; the key of the position. */
  readonly publisher: string;
  /** Which of the stored objects came through this publisher. */
  readonly isFrom: (record: Pick<ObjectRecord, "origin">) => boolean;
  /** The one origin that they are all of: what others have said is not read. Absent: they may be anybody's. */
  readonly origin?: string;
  readonly clock: Clock;
}

/** Of an object that is stored and cannot be read: whatever the publisher offers in its place is another content, and is fetched. */
const unreadable: Hash = [0, 0];

/**
 * A replica kept in a plane's own store. The publisher's furthest heartbeat lies beside the position, since it is twenty times as
 * large, and is written when there is another one. Removals are not remembered over a restart: that costs a defence against a
 * publisher that replays what its origin deleted, until the next whole comparison.
 */
export class CatalogReplicaStore implements ReplicaStore {
  readonly #options: CatalogReplicaOptions;
  #witness: Witness | undefined;

  constructor(options: CatalogReplicaOptions) {
    this.#options = options;
  }

  async load(signal: AbortSignal): Promise<ReplicaState> {
    const { catalog, publisher, isFrom, origin } = this.#options;
    const live = new Map<string, HeldObject>();
    let isWhole = false;
    for await (const { puts, deletes, more } of catalog.objects.pieces(signal, prefixOf(origin))) {
      for (const { id, value } of puts) if (isFrom(value)) live.set(textOfItsOwn(id), { generation: { epoch: value.epoch, revision: value.revision }, content: contentOf(value) });
      for (const id of deletes) live.delete(id);
      isWhole = !more;
      if (isWhole) break;
    }
    // What was read until then would be taken for all.
    if (!isWhole) throw signal.aborted ? abortedError(signal) : new AtollError("ATOLL_STORE_UNAVAILABLE", "the store was closed while it was read");
    const position = await catalog.positions.get(publisher, signal);
    const heartbeat = await catalog.heartbeats.get(publisher, signal);
    this.#witness = heartbeat === undefined ? undefined : witnessOf(heartbeat.value);
    const cursor = position === undefined ? emptyReplicaState.cursor : cursorOf(position.value);
    return { ...emptyReplicaState, live, cursor: this.#witness === undefined ? cursor : { ...cursor, witness: this.#witness } };
  }

  /** In as many transactions as the store's bound asks for; the position goes with the last. */
  async commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor, signal: AbortSignal): Promise<void> {
    const { catalog, publisher, clock } = this.#options;
    const nowMs = Math.floor(clock.nowMs());
    // A transaction may write a key once, so of several changes of a key the last stands for all.
    const last = new Map(changes.map((change) => [change.id, change]));
    const ops: CatalogOp[] = [...last.values()].map((change) =>
      change.kind === "put" ? catalog.objects.putOp(change.id, recordOf(change.object, nowMs)) : catalog.objects.removeOp(change.id),
    );
    const { witness } = cursor;
    if (witness !== undefined && witness !== this.#witness) ops.push(catalog.heartbeats.putOp(publisher, { publisher, ...witness }));
    ops.push(catalog.positions.putOp(publisher, positionOf(publisher, cursor, nowMs)));
    await commitInOrder(catalog, ops, signal);
    this.#witness = witness;
  }
}

/**
 * Removes all that is kept of a publisher, position last: who comes under its name later begins a history of its own. Nothing may be
 * receiving from it meanwhile.
 */
export async function forgetReplica({ catalog, publisher, isFrom, origin }: Omit<CatalogReplicaOptions, "clock">, signal: AbortSignal): Promise<void> {
  const { items } = await catalog.objects.list(signal, prefixOf(origin));
  const ops: CatalogOp[] = items.filter(({ value }) => isFrom(value)).map(({ id }) => catalog.objects.removeOp(id));
  ops.push(catalog.heartbeats.removeOp(publisher), catalog.positions.removeOp(publisher));
  await commitInOrder(catalog, ops, signal);
}

async function commitInOrder(catalog: Catalog, ops: readonly CatalogOp[], signal: AbortSignal): Promise<void> {
  for (let start = 0; start < ops.length; start += transactionOpsMax) await catalog.commit(ops.slice(start, start + transactionOpsMax), signal);
}

/** How the ids of an origin's objects begin. */
function prefixOf(origin: string | undefined): string {
  return origin === undefined ? "" : `${origin}/`;
}

/** A received or own object as the catalog keeps it. */
export function recordOf({ signed, payload }: OpenedObject, appliedAtMs: number): ObjectRecord {
  return {
    origin: payload.origin,
    kind: payload.kind,
    key: payload.key,
    epoch: payload.generation.epoch,
    revision: payload.generation.revision,
    audience: payload.audience,
    tombstone: payload.tombstone,
    signed: encodeSignedObject(signed),
    appliedAtMs: Math.floor(appliedAtMs),
  };
}

/** An id is a part of its store's key, and such a part keeps the whole in memory for as long as it is held. */
function textOfItsOwn(id: string): string {
  return Buffer.from(id).toString();
}

function contentOf({ signed }: ObjectRecord): Hash {
  try {
    return contentHash(viewSignedObject(signed));
  } catch (error) {
    if (!isAtollError(error)) throw error;
    return unreadable;
  }
}

function cursorOf({ epoch, term, stream, seq, floorEpoch, floorRevision, behindEpoch, behindSinceMs, isHoldingBack }: AppliedPosition): ReplicaCursor {
  const behind = behindEpoch === undefined ? {} : { behind: { epoch: behindEpoch, sinceMs: behindSinceMs ?? 0 } };
  return { epoch, term, stream, seq, floor: { epoch: floorEpoch, revision: floorRevision }, ...behind, ...(isHoldingBack === true ? { isHoldingBack } : {}) };
}

function positionOf(publisher: string, { epoch, term, stream, seq, floor, behind, isHoldingBack }: ReplicaCursor, appliedAtMs: number): AppliedPosition {
  const seen = behind === undefined ? {} : { behindEpoch: behind.epoch, behindSinceMs: behind.sinceMs };
  return { publisher, epoch, term, stream, seq, floorEpoch: floor.epoch, floorRevision: floor.revision, appliedAtMs, ...seen, ...(isHoldingBack === true ? { isHoldingBack } : {}) };
}

function witnessOf({ publisher: _, ...witness }: HeartbeatRecord): Witness {
  return witness;
}
