import { expect, it } from "vitest";
import { emptyReplicaState } from "#federation/replication/core/replica-state.ts";
import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { clusterResource } from "./cluster-state-fixture.ts";
import { firstSyncMsMax, waitForFirstSync } from "./first-sync.ts";
import { emptyReplicatedState, type ReplicatedState } from "./replicated/replicated-view.ts";

function begin() {
  const clock = new VirtualClock();
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const replicated = new WatchedValue<ReplicatedState>(emptyReplicatedState);
  const stop = new AbortController();
  const outcome = { over: false, error: undefined as unknown };
  const done = waitForFirstSync({ cluster: "shop-eu", statuses, replicated, clock, logger: silentLogger }, stop.signal).then(
    () => (outcome.over = true),
    (error: unknown) => (outcome.error = error),
  );
  const status = (isBehind: boolean): void =>
    statuses.set(
      new Map([["global", { publisher: "global", cursor: emptyReplicaState.cursor, isBehind, needsReconcile: false, wholeAtMonotonicMs: undefined, heardAtMonotonicMs: undefined, refused: new Map() }]]),
    );
  return { clock, replicated, stop, outcome, done, status };
}

it("waits until the global plane's state has arrived and can be seen", async () => {
  const { clock, replicated, outcome, status } = begin();
  status(true);
  await clock.advance(1_000);
  expect(outcome.over).toBe(false);
  status(false);
  await clock.advance(0);
  expect(outcome.over).toBe(false);
  replicated.set({ ...emptyReplicatedState, clusters: new Map([["shop-eu", clusterResource()]]) });
  await clock.advance(0);
  expect(outcome.over).toBe(true);
});

it("gives up after its bound: a cluster does not wait for the global plane to serve its own", async () => {
  const { clock, outcome } = begin();
  await clock.advance(firstSyncMsMax);
  expect(outcome).toEqual({ over: true, error: undefined });
});

it("ends with the plane", async () => {
  const { stop, outcome, done } = begin();
  stop.abort();
  await done;
  expect(outcome.error).toMatchObject({ code: "ATOLL_ABORTED" });
});
