import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { contentHash } from "../core/digest-table.ts";
import { emptyReplicaState } from "../core/replica-state.ts";
import type { DeadRecord, ReplicaChange, ReplicaCursor, ReplicaState } from "../core/replica-state.ts";
import type { ReplicaStore } from "./replica-store.ts";

/** A replica that lives as long as this value: for tests and simulations, where it is the disk that survives a restart. */
export class MemoryReplicaStore implements ReplicaStore {
  readonly objects = new Map<string, OpenedObject>();
  readonly #dead = new Map<string, DeadRecord>();
  #cursor: ReplicaCursor = emptyReplicaState.cursor;

  load(): Promise<ReplicaState> {
    return Promise.resolve(this.state());
  }

  /** What `load` resolves to. */
  state(): ReplicaState {
    const live = new Map([...this.objects].map(([id, { payload, signed }]) => [id, { generation: payload.generation, content: contentHash(signed) }]));
    return { cursor: this.#cursor, live, dead: new Map(this.#dead) };
  }

  commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor): Promise<void> {
    for (const change of changes) {
      if (change.kind === "put") {
        this.objects.set(change.id, change.object);
        this.#dead.delete(change.id);
      } else {
        this.objects.delete(change.id);
        this.#dead.set(change.id, { generation: change.generation, reason: change.reason });
      }
    }
    this.#cursor = cursor;
    return Promise.resolve();
  }
}
