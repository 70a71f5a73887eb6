import { expect, test } from "vitest";
import { emptyReplicaState } from "#federation/replication/core/replica-state.ts";
import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { originsToldMsMax, waitForOrigins } from "./origins-told.ts";

const status = (publisher: string, wholeAtMonotonicMs: number | undefined): readonly [string, ReceiverStatus] => [
  publisher,
  { publisher, cursor: emptyReplicaState.cursor, isBehind: wholeAtMonotonicMs === undefined, needsReconcile: false, wholeAtMonotonicMs, heardAtMonotonicMs: 0, refused: new Map() },
];

function waiting(clock: VirtualClock, statuses: WatchedValue<ReadonlyMap<string, ReceiverStatus>>, stop = new AbortController()) {
  const found = { isOver: false };
  const done = waitForOrigins({ clusters: () => ["shop-eu", "shop-us"], statuses, clock, logger: silentLogger }, stop.signal).then(() => void (found.isOver = true));
  return { found, done };
}

test("every cluster is waited for that there is, heard yet or not", async () => {
  const clock = new VirtualClock();
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const { found } = waiting(clock, statuses);
  statuses.set(new Map([status("shop-eu", 5), status("shop-us", undefined)]));
  await clock.advance(100);
  expect(found.isOver).toBe(false);
  statuses.set(new Map([status("shop-eu", 5), status("shop-us", 90)]));
  await clock.advance(0);
  expect(found.isOver).toBe(true);
});

test("one that is silent is waited for no longer than ten seconds", async () => {
  const clock = new VirtualClock();
  const { found } = waiting(clock, new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map([status("shop-eu", 5)])));
  await clock.advance(originsToldMsMax - 1);
  expect(found.isOver).toBe(false);
  await clock.advance(1);
  expect(found.isOver).toBe(true);
});

test("a plane that ends waits no more, and offers nothing for that", async () => {
  const stop = new AbortController();
  const { done, found } = waiting(new VirtualClock(), new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map()), stop);
  stop.abort(new Error("the term is over"));
  await expect(done).rejects.toThrow();
  expect(found.isOver).toBe(false);
});
