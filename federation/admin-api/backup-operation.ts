import type { BackupEntry, BackupHead, StoreBackup } from "#federation/model/store-backup.ts";
import { epochOf, type StoreStanding } from "#federation/model/store-standing.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { implement, type Operation } from "./route.ts";
import { storeRoutes, type BackupEvent } from "./store-routes.ts";

/** What a plane's backup is made of. */
export interface BackupSource extends Pick<BackupHead, "federation" | "plane"> {
  /** The store as of one revision. */
  readonly copy: (signal: AbortSignal) => Promise<{ readonly revision: number; readonly entries: readonly BackupEntry[] }>;
  readonly clock: Clock;
}

/** Bytes of keys and values in one event, unless a single entry has more. */
const eventBytesMax = 256 * 1024;

/** A backup of the plane's store, for administrators. A store that is behind has nothing that would be worth keeping until somebody has decided. */
export function backupOperation(source: BackupSource, standing: Watched<StoreStanding>): Operation {
  const take = async (signal: AbortSignal): Promise<StoreBackup> => {
    if (standing.current.state === "behind") throw new AtollError("ATOLL_STORE_BEHIND", "this plane's store is behind what was witnessed of it: decide by `atoll reconcile` before you back it up");
    const { federation, plane, clock } = source;
    const { revision, entries } = await source.copy(signal);
    return { head: { federation, plane, epoch: epochOf(standing.current), revision, madeAtMs: Math.floor(clock.nowMs()) }, entries };
  };
  return implement(
    storeRoutes.backup,
    async (_request, signal) => {
      const { head, entries } = await take(signal);
      return { body: { head: headOf(head), entries: entries.length, bytes: entries.reduce((sum, entry) => sum + sizeOf(entry), 0) } };
    },
    async function* parts(_request, signal) {
      const { head, entries } = await take(signal);
      yield* inEvents(entries);
      yield { type: "end" as const, head: headOf(head), entries: entries.length };
    },
  );
}

function* inEvents(entries: readonly BackupEntry[]): Generator<BackupEvent> {
  let batch: { key: string; revision: number; value: string }[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (batch.length > 0 && bytes + sizeOf(entry) > eventBytesMax) {
      yield { type: "entries", entries: batch };
      batch = [];
      bytes = 0;
    }
    batch.push({ key: entry.key, revision: entry.revision, value: Buffer.from(entry.value).toString("base64") });
    bytes += sizeOf(entry);
  }
  if (batch.length > 0) yield { type: "entries", entries: batch };
}

function headOf(head: BackupHead): Extract<BackupEvent, { readonly type: "end" }>["head"] {
  return { ...head, federation: head.federation as Extract<BackupEvent, { readonly type: "end" }>["head"]["federation"] };
}

function sizeOf({ key, value }: BackupEntry): number {
  return Buffer.byteLength(key) + value.byteLength;
}
