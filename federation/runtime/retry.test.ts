import { expect, it } from "vitest";
import { AtollError } from "./errors.ts";
import { createSeededRandom } from "./random.ts";
import { retried } from "./retry.ts";
import { VirtualClock } from "./virtual-clock.ts";

function setUp(outcomes: (Error | undefined)[]) {
  const clock = new VirtualClock();
  const failures: unknown[] = [];
  let runs = 0;
  const task = retried({ clock, random: createSeededRandom(1), onFailure: (error) => failures.push(error) }, () => {
    const outcome = outcomes[runs++];
    return outcome === undefined ? Promise.resolve() : Promise.reject(outcome);
  });
  return { clock, failures, task, runs: () => runs };
}

it("begins again after faults that pass, and ends with the task", async () => {
  const { clock, failures, task, runs } = setUp([new AtollError("ATOLL_STORE_UNAVAILABLE", "away"), new AtollError("ATOLL_STORE_CONFLICT", "other"), undefined]);
  const done = task(new AbortController().signal);
  await clock.advance(5_000);
  await done;
  expect([runs(), failures.length]).toEqual([3, 2]);
});

it("throws what does not pass", async () => {
  const own = new Error("our own fault");
  await expect(setUp([own]).task(new AbortController().signal)).rejects.toBe(own);
  await expect(setUp([new AtollError("ATOLL_CONFIG_INVALID", "no")]).task(new AbortController().signal)).rejects.toMatchObject({ code: "ATOLL_CONFIG_INVALID" });
});

it("ends while it waits when its signal aborts", async () => {
  const { clock, task, runs } = setUp([new AtollError("ATOLL_BUS_UNAVAILABLE", "away")]);
  const stop = new AbortController();
  const done = task(stop.signal);
  await clock.advance(0);
  stop.abort();
  await expect(done).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  expect(runs()).toBe(1);
});
