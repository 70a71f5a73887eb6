import { expect, it } from "vitest";
import type { BackupEntry } from "#federation/model/store-backup.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { decodeBackup } from "#federation/wire/backup-file.ts";
import { backupOperation } from "./backup-operation.ts";
import type { AdminClient } from "./client.ts";
import { fetchBackup } from "./fetch-backup.ts";
import type { BackupEvent } from "./store-routes.ts";

const { signal } = new AbortController();
const sound: StoreStanding = { state: "sound", epoch: 7 };
const behind: StoreStanding = { state: "behind", reason: "mark", witness: "this plane", witnessed: { epoch: 7, revision: 9 }, found: { epoch: 7, revision: 4 }, sinceMs: 1 };
const entriesOf = (count: number, bytes: number): readonly BackupEntry[] => Array.from({ length: count }, (_, at) => ({ key: `/atoll/v1/objects/${at}`, revision: at + 1, value: new Uint8Array(bytes).fill(at) }));

/** A plane whose store holds `entries`; `spoil` changes what its stream says. */
function planeOf(entries: readonly BackupEntry[], { standing = sound, spoil = (events: readonly BackupEvent[]) => events } = {}) {
  const clock = new VirtualClock();
  const operation = backupOperation({ federation: "demo.atoll", plane: "global", copy: () => Promise.resolve({ revision: 99, entries }), clock }, new WatchedValue(standing));
  const events: BackupEvent[] = [];
  const client = {
    call: async () => await operation.handle({} as never, signal),
    async *watch() {
      for await (const event of operation.watch?.({} as never, signal) ?? []) events.push(event as unknown as BackupEvent);
      yield* spoil(events);
    },
  } as unknown as Pick<AdminClient, "call" | "watch">;
  return { client, events, clock };
}

it("brings the whole store, in parts of which none is large, as one file", async () => {
  const entries = entriesOf(30, 40_000);
  const { client, events, clock } = planeOf(entries);
  const backup = await fetchBackup(client, undefined, signal);
  expect(backup).toMatchObject({ entries: 30, head: { federation: "demo.atoll", plane: "global", epoch: 7, revision: 99, madeAtMs: Math.floor(clock.nowMs()) } });
  expect(decodeBackup(backup.file)).toEqual({ head: backup.head, entries });
  expect(events.length).toBeGreaterThan(4);
  for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(512 * 1024);
});

it("is none when it breaks off, or lacks a part", async () => {
  for (const spoil of [(events: readonly BackupEvent[]) => events.slice(0, -1), (events: readonly BackupEvent[]) => events.slice(1)]) {
    await expect(fetchBackup(planeOf(entriesOf(30, 40_000), { spoil }).client, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  }
});

it("is not made of a store that is behind", async () => {
  await expect(fetchBackup(planeOf([], { standing: behind }).client, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
});
