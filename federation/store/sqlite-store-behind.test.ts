import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { EngineReply, EngineRequest } from "./sqlite-engine.ts";
import type { SqliteRunner } from "./sqlite-runner.ts";
import { SqliteStore } from "./sqlite-store.ts";

const { signal } = new AbortController();
const operationTimeoutMs = 5_000;

/** A disk that answers when it is told to. */
class SlowRunner implements SqliteRunner {
  readonly origin = "file";
  readonly movedAside: readonly string[] = [];
  readonly batches: (readonly EngineRequest[])[] = [];
  #onReplies: ((replies: readonly EngineReply[]) => void) | undefined;

  run(requests: readonly EngineRequest[], onReplies: (replies: readonly EngineReply[]) => void): void {
    this.batches.push(requests);
    this.#onReplies = onReplies;
  }

  answer(): void {
    const replies = (this.batches.at(-1) ?? []).map((): EngineReply => ({ kind: "entry", entry: undefined }));
    this.#onReplies?.(replies);
  }

  backup(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

it("begins nothing for which nobody waits any more, so that a disk which was behind serves those who ask now", async () => {
  const [clock, runner] = [new VirtualClock(), new SlowRunner()];
  await using store = new SqliteStore(runner, { path: ":memory:", clock, logger: silentLogger, operationTimeoutMs });
  const left = new AbortController();
  const underWay = store.get("under way", signal);
  await clock.advance(0);
  const given = [underWay, store.get("waits", signal), store.list("waits/", signal), store.get("left", left.signal)];
  const ends = Promise.allSettled(given);
  left.abort();
  await clock.advance(operationTimeoutMs);
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected", "rejected"]);
  const now = store.get("now", signal);
  runner.answer();
  await clock.advance(0);
  runner.answer();
  expect(await now).toBeUndefined();
  const asked = (requests: readonly EngineRequest[]): readonly string[] => requests.map((request) => ("key" in request ? request.key : request.kind));
  expect(runner.batches.map(asked)).toEqual([["under way"], ["now"]]);
});
