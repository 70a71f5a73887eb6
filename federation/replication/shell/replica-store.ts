import type { ReplicaChange, ReplicaCursor, ReplicaState } from "../core/replica-state.ts";

/**
 * Where a receiver keeps what it applied. `live` of a loaded state must be derived from the objects that are really
 * stored; then changes may be written in several transactions, as long as the cursor is written with or after the last.
 */
export interface ReplicaStore {
  /** `emptyReplicaState` at the first start. */
  load(signal: AbortSignal): Promise<ReplicaState>;
  /** Resolves once `changes`, in order, and then `cursor` are durable; acknowledged only after that. Idempotent. */
  commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor, signal: AbortSignal): Promise<void>;
}
