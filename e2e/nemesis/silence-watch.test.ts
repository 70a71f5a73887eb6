import { expect, it } from "vitest";
import { SilenceWatch } from "./silence-watch.ts";

const ailment = { what: "global holds version 1 of shop-one/a, and shop-one offers 2", planes: ["global", "shop-one"] };
const says = (stdout: string): (() => Promise<{ readonly stdout: string; readonly stderr: string }>) => () => Promise.resolve({ stdout, stderr: "" });

it("what is wrong for less than fifteen heartbeats is nobody's business", async () => {
  const watch = new SilenceWatch(() => Promise.reject(new Error("nobody was to be asked")));
  for (const nowMs of [0, 7_000, 14_000]) await watch.observe([ailment], nowMs);
  expect(watch.silent).toEqual([]);
});

it("what lasts longer is silent when `atoll check` names none of its planes, and it is still there after that", async () => {
  const watch = new SilenceWatch(says("wrong  shop-two is not heard\n"));
  for (const nowMs of [0, 15_000]) await watch.observe([ailment], nowMs);
  expect(watch.silent).toEqual([]);
  await watch.observe([ailment], 17_000);
  await watch.observe([ailment], 19_000);
  expect(watch.silent).toEqual([ailment.what]);
});

it("what is silent says of an ailment what was seen of it last", async () => {
  const watch = new SilenceWatch(says(""));
  for (const nowMs of [0, 15_000, 17_000]) await watch.observe([{ ...ailment, detail: `no answer at ${nowMs}` }], nowMs);
  expect(watch.silent).toEqual([`${ailment.what} (no answer at 17000)`]);
});

it("what `atoll check` names, or what has passed when it has answered, is not", async () => {
  const named = new SilenceWatch(says("wrong  shop-one is not heard\n"));
  const passed = new SilenceWatch(says(""));
  for (const nowMs of [0, 15_000]) await Promise.all([named.observe([ailment], nowMs), passed.observe([ailment], nowMs)]);
  await named.observe([ailment], 17_000);
  await passed.observe([], 17_000);
  expect([named.silent, passed.silent]).toEqual([[], []]);
});
