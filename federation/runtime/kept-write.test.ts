import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { KeptWrite, writeAgainMs } from "./kept-write.ts";

/** A disk that takes nothing while it is full. */
function disk() {
  const clock = new VirtualClock();
  const state = { isFull: false, written: [] as number[], tries: 0 };
  const kept = new KeptWrite<number>({
    what: "A number",
    clock,
    logger: silentLogger,
    write: async (value) => {
      state.tries++;
      await Promise.resolve();
      if (state.isFull) throw new Error("no space left");
      state.written.push(value);
    },
  });
  return { clock, state, kept };
}

it("writes what it is given, and of what comes during a write the last", async () => {
  const { state, kept } = disk();
  await kept.put(1);
  await Promise.all([kept.put(2), kept.put(3), kept.put(4)]);
  expect(state.written).toEqual([1, 2, 4]);
  expect(kept.failure).toBeUndefined();
});

it("tries again what could not be written until it could, and says so meanwhile", async () => {
  const { clock, state, kept } = disk();
  state.isFull = true;
  await kept.put(1);
  expect(kept.failure).toBe("no space left");
  await clock.advance(10 * writeAgainMs);
  expect(state.tries).toBe(11);
  state.isFull = false;
  await clock.advance(writeAgainMs);
  expect(state.written).toEqual([1]);
  expect(kept.failure).toBeUndefined();
  await clock.advance(10 * writeAgainMs);
  expect(state.tries).toBe(12);
});

it("gives up what could not be written for what is newer, and ends with one more try", async () => {
  const { clock, state, kept } = disk();
  state.isFull = true;
  await kept.put(1);
  await kept.put(2);
  state.isFull = false;
  await kept[Symbol.asyncDispose]();
  expect(state.written).toEqual([2]);
  state.isFull = true;
  await kept.put(3);
  await kept[Symbol.asyncDispose]();
  await clock.advance(10 * writeAgainMs);
  expect([state.written, state.tries]).toEqual([[2], 5]);
});
