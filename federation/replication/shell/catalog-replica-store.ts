import { transactionOpsMax } from "#federation/catalog/catalog-access.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CatalogOp } from "#federation/catalog/collection.ts";
import type { AppliedPosition, ObjectRecord } from "#federation/catalog/records.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { encodeSignedObject } from "#federation/wire/signed-object.ts";
import { emptyReplicaState, type ReplicaChange, type ReplicaCursor, type ReplicaState } from "../core/replica-state.ts";
import type { ReplicaStore } from "./replica-store.ts";

export interface CatalogReplicaOptions {
  readonly catalog: Catalog;
  /** Whose frames are applied; the key of the position. */
  readonly publisher: string;
  /** Which of the stored objects came through this publisher. */
  readonly isFrom: (record: Pick<ObjectRecord, "origin">) => boolean;
  readonly clock: Clock;
}

/**
 * A replica kept in a plane's own store. Removals are not remembered over a restart: that costs a defence against a
 * publisher that replays what its origin deleted, until the next whole comparison.
 */
export class CatalogReplicaStore implements ReplicaStore {
  readonly #options: CatalogReplicaOptions;

  constructor(options: CatalogReplicaOptions) {
    this.#options = options;
  }

  async load(signal: AbortSignal): Promise<ReplicaState> {
    const { catalog, publisher, isFrom } = this.#options;
    const { items } = await catalog.objects.list(signal);
    const live = new Map<string, Generation>();
    for (const { value } of items) if (isFrom(value)) live.set(objectId(value), { epoch: value.epoch, revision: value.revision });
    const position = await catalog.positions.get(publisher, signal);
    return { ...emptyReplicaState, live, cursor: position === undefined ? emptyReplicaState.cursor : cursorOf(position.value) };
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
    ops.push(catalog.positions.putOp(publisher, positionOf(publisher, cursor, nowMs)));
    for (let start = 0; start < ops.length; start += transactionOpsMax) await catalog.commit(ops.slice(start, start + transactionOpsMax), signal);
  }
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

function cursorOf({ epoch, term, stream, seq, floorEpoch, floorRevision }: AppliedPosition): ReplicaCursor {
  return { epoch, term, stream, seq, floor: { epoch: floorEpoch, revision: floorRevision } };
}

function positionOf(publisher: string, { epoch, term, stream, seq, floor }: ReplicaCursor, appliedAtMs: number): AppliedPosition {
  return { publisher, epoch, term, stream, seq, floorEpoch: floor.epoch, floorRevision: floor.revision, appliedAtMs };
}
