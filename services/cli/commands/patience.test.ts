import { expect, test } from "vitest";
import { sleep } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { Patience, type Asked } from "./patience.ts";

const never = new AbortController().signal;

/** Asks for answers after so many ms each; undefined: never. Says when all was said, and what. */
async function askAll(afterMs: readonly (number | undefined)[]): Promise<{ readonly tookMs: number; readonly asked: readonly Asked<number>[] }> {
  const clock = new VirtualClock();
  using patience = new Patience(clock, never);
  let tookMs = Number.NaN;
  const all = Promise.all(
    afterMs.map((ms) =>
      patience.ask(async (signal) => {
        await sleep(clock, ms ?? 3_600_000, signal);
        return ms ?? 0;
      }),
    ),
  ).then((asked) => {
    tookMs = clock.monotonicMs();
    return asked;
  });
  await clock.advance(3_600_000);
  return { tookMs, asked: await all };
}

test("one that never answers is waited for two seconds where the others were quick, and named with how long", async () => {
  const { tookMs, asked } = await askAll([20, undefined, 30]);
  expect(tookMs).toBe(2_000);
  expect(asked.map(({ kind }) => kind)).toEqual(["answer", "failed", "answer"]);
  const [, frozen] = asked;
  expect(frozen?.kind === "failed" ? frozen.error : undefined).toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE", message: "no answer within 2.0 s" });
});

test("on a host where all are slow, the slowest are waited for three times as long as the one before", async () => {
  expect(await askAll([1_500, 4_400, undefined])).toMatchObject({ tookMs: 13_200, asked: [{ kind: "answer" }, { kind: "answer" }, { kind: "failed" }] });
});

test("where nobody has answered, nobody is given up", async () => {
  expect(await askAll([50_000, 60_000])).toMatchObject({ tookMs: 60_000, asked: [{ kind: "answer" }, { kind: "answer" }] });
});

test("who fails at once, or is asked alongside, is no measure of the others; a failure keeps its own reason", async () => {
  const clock = new VirtualClock();
  using patience = new Patience(clock, never);
  const refused = new AtollError("ATOLL_ADMIN_UNAVAILABLE", "refused");
  const late = patience.ask(async (signal) => {
    await sleep(clock, 4_000, signal);
    return "late";
  });
  expect(await patience.ask(() => Promise.reject(refused))).toEqual({ kind: "failed", error: refused });
  expect(await patience.alongside(() => Promise.resolve(1))).toEqual({ kind: "answer", value: 1 });
  await clock.advance(4_000);
  expect(await late).toEqual({ kind: "answer", value: "late" });
});
