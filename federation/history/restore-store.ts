import { Catalog } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import type { BackupEntry, StoreBackup } from "#federation/model/store-backup.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import type { Random } from "#federation/runtime/random.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import type { Store, StoreCondition, StoreWrite } from "#federation/store/store.ts";
import { storeLimits } from "#federation/store/store-limits.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { copyStore, isBackedUp, type StoreCopy } from "./store-copy.ts";

export interface RestoreOptions {
  readonly store: Store;
  /** Of the plane that does not run. */
  readonly dataDir: string;
  readonly plane: string;
  readonly backup: StoreBackup;
  /** Keeps what the store held before; called before anything is changed, and not for a store that is empty. */
  readonly setAside: (copy: StoreCopy, epoch: number) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A plane that runs renews its lease for ever; the lease of one that was stopped or has crashed is over by then. */
const leaderWaitMs = 8_000;

/**
 * Makes a store hold what `backup` holds, in the place of the plane's leader, so that no process of the plane works on it meanwhile. From the
 * first write on the store itself says that it was restored, so that every process of the plane asks before it writes or publishes anything;
 * a restore that was interrupted can be done again.
 * @throws {ATOLL_RESTORE_REFUSED} when the plane runs. @throws {ATOLL_STORE_UNAVAILABLE | ATOLL_STORE_CONFLICT}
 */
export async function restoreStore(options: RestoreOptions, signal: AbortSignal): Promise<void> {
  const { store, plane, dataDir, clock, random, logger } = options;
  // A store that is away is said to be so at once.
  await store.get(keys.leader, signal);
  const giveUp = new AbortController();
  const progress = { hasBegun: false, isDone: false };
  using _timer = clock.schedule(leaderWaitMs, () => {
    if (!progress.hasBegun) giveUp.abort();
  });
  await runAsLeader(
    store,
    { key: keys.leader, id: `${plane}-restore-${keepInstanceId(dataDir)}`, clock, random, logger },
    async ({ fence }, inner) => {
      progress.hasBegun = true;
      await replace(options, fence, inner);
      progress.isDone = true;
    },
    AbortSignal.any([signal, giveUp.signal]),
  );
  if (progress.isDone || signal.aborted) return;
  throw new AtollError("ATOLL_RESTORE_REFUSED", `the plane of ${plane} runs: stop it, and every replica of it, before its store is replaced`);
}

async function replace({ store, backup: { head, entries }, setAside, clock, logger }: RestoreOptions, fence: StoreCondition, signal: AbortSignal): Promise<void> {
  const catalog = new Catalog({ store, clock, fence: () => [fence], onFault: ({ key }) => logger.warn("A stored value cannot be read.", { key }) });
  const present = await copyStore(store, signal);
  if (present.entries.length > 0) await setAside(present, (await catalog.epoch(signal))?.value.epoch ?? 0);
  const epoch = Math.max(1, head.epoch);
  await catalog.setEpoch({ epoch, startedAtMs: Math.floor(clock.nowMs()), restoredFromMs: head.madeAtMs }, signal);
  const isKept = (key: string): boolean => key === keys.leader || key.startsWith(keys.meta);
  const wanted = entries.filter(({ key }) => !isKept(key)).map((entry) => writesOf(entry, epoch, catalog));
  const written = new Set(wanted.flat().map(({ key }) => key));
  // Tokens go too: what is in force of them now was not when the backup was made.
  const { entries: found } = await store.list(keys.root, signal);
  const removed = found.filter(({ key }) => !isKept(key) && !written.has(key)).map(({ key }): readonly StoreWrite[] => [{ kind: "delete", key }]);
  for (const writes of inTransactions([...removed, ...wanted])) {
    const outcome = await store.commit({ conditions: [fence], writes }, signal);
    if (outcome.kind === "conflict") throw new AtollError("ATOLL_STORE_CONFLICT", "another process of the plane leads: stop it, and restore again");
  }
}

/** An entry's writes; of a resource also where it stood, in one transaction with it. */
function writesOf({ key, revision, value }: BackupEntry, epoch: number, { restored }: Catalog): readonly StoreWrite[] {
  const put: StoreWrite = { kind: "put", key, value };
  if (!key.startsWith(keys.allResources)) return [put];
  const record = restored.putOp(key.slice(keys.allResources.length), { epoch, revision });
  return record.value === undefined ? [put] : [put, { kind: "put", key: record.key, value: record.value }];
}

/** As many in each as a transaction may have; what belongs together stays so. */
function* inTransactions(groups: readonly (readonly StoreWrite[])[]): Generator<readonly StoreWrite[]> {
  let batch: StoreWrite[] = [];
  let bytes = 0;
  for (const group of groups) {
    const size = group.reduce((sum, write) => sum + Buffer.byteLength(write.key) + (write.kind === "put" ? write.value.byteLength : 0), 0);
    if (batch.length > 0 && (batch.length + group.length > storeLimits.transactionWritesMax || bytes + size > storeLimits.transactionBytesMax)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(...group);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** @throws {ATOLL_RESTORE_REFUSED} unless `backup` is one of this plane. @throws {ATOLL_BACKUP_INVALID} when it holds what no backup holds. */
export function demandBackupOf({ head, entries }: StoreBackup, { federation, plane }: { readonly federation: string; readonly plane: string }): void {
  if (head.federation !== federation || head.plane !== plane) {
    throw new AtollError("ATOLL_RESTORE_REFUSED", `the backup is of ${head.plane} of the federation ${head.federation}, and not of ${plane} of ${federation}`);
  }
  const strange = entries.find(({ key }) => !isBackedUp(key));
  if (strange !== undefined) throw new AtollError("ATOLL_BACKUP_INVALID", `the backup cannot be used: it holds ${strange.key.slice(0, 80)}, which no backup holds`);
}
