import { describe, expect, it } from "vitest";
import type { RolloutTarget } from "#federation/model/rollout.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { followRollout, type FollowedWrite, type FollowOptions } from "./follow-rollout.ts";
import type { RolloutAnswer, RolloutQuery } from "./rollout-route.ts";

const write: FollowedWrite = { kind: "TrafficPolicy", path: { namespace: "web", name: "slow" }, plane: "global", revision: 7, deleted: false };
const never = new AbortController().signal;

function answer(state: string, targets: readonly RolloutTarget[], generation: RolloutAnswer["generation"] = { epoch: 2, revision: 9 }): RolloutAnswer {
  const done = targets.every((target) => target.state === "done");
  return { kind: "TrafficPolicy", id: "web/slow", ...(generation === undefined ? {} : { generation }), done, counts: { done: 0, pending: 0, unreachable: 0, refused: 0 }, targets: [...targets], targetsLeftOut: 0, asOfMs: 0, state };
}

/** Planes that answer each question with the next of their answers, and the last one again and again. */
function planesOf(answers: Readonly<Record<string, readonly (RolloutAnswer | AtollError)[]>>) {
  const clock = new VirtualClock();
  const asked: (readonly [string, RolloutQuery])[] = [];
  const options: FollowOptions = {
    ask: async (plane, _kind, _path, query) => {
      const count = asked.filter(([name]) => name === plane).length;
      asked.push([plane, query]);
      const next = answers[plane]?.[count] ?? answers[plane]?.at(-1);
      if (next === undefined) throw new Error(`nobody asks ${plane}`);
      if (next instanceof AtollError) throw next;
      if (!next.done && query.wait !== undefined) await new Promise<void>((resolve) => void clock.schedule((query.wait ?? 0) * 1_000, resolve));
      return next;
    },
    clusters: ["a", "b"],
    endMs: 20_000,
    waitSeconds: 5,
    onWord: () => {},
    clock,
  };
  return { clock, asked, options };
}

const target = (name: string, state: RolloutTarget["state"]): RolloutTarget => ({ kind: "cluster", name, state });
const done = answer("done", []);

describe("following a write", () => {
  it("asks where it was made, then the clusters that it concerns and that are known, about the very form", async () => {
    const { asked, options } = planesOf({ global: [answer("g", [target("a", "done"), target("elsewhere", "done")])], a: [done] });
    const words = await followRollout(write, options, never);
    expect(asked).toEqual([["global", { revision: 7, wait: 5 }], ["a", { epoch: 2, revision: 9, wait: 5 }]]);
    expect([...words].map(([plane, { kind }]) => [plane, kind])).toEqual([["global", "answer"], ["a", "answer"]]);
  });

  it("goes on asking, with what it has seen, until it is done", async () => {
    const { clock, asked, options } = planesOf({ global: [answer("g1", [target("a", "pending")]), answer("g2", [target("a", "done")])], a: [answer("a1", [target("a", "pending")]), done] });
    const followed = followRollout(write, options, never);
    await clock.advance(15_000);
    await followed;
    expect(asked).toContainEqual(["global", { revision: 7, wait: 5, seen: "g1" }]);
    expect(asked).toContainEqual(["a", { epoch: 2, revision: 9, wait: 5, seen: "a1" }]);
  });

  it("ends when its time is over, with what was said last", async () => {
    const { clock, asked, options } = planesOf({ global: [answer("g", [target("a", "pending"), target("b", "done")])], a: [answer("a", [target("a", "pending")])], b: [done] });
    const followed = followRollout(write, options, never);
    await clock.advance(60_000);
    const words = await followed;
    expect(words.get("global")).toMatchObject({ kind: "answer", answer: { done: false } });
    expect(asked.filter(([plane]) => plane === "global")).toHaveLength(4);
    expect(clock.monotonicMs()).toBe(60_000);
  });

  it("asks a plane again that gives no answer, and leaves one alone that does not say", async () => {
    const away = new AtollError("ATOLL_ADMIN_UNAVAILABLE", "away");
    const { clock, asked, options } = planesOf({ global: [away, answer("g", [target("a", "done"), target("b", "done")])], a: [away, done], b: [new AtollError("ATOLL_ADMIN_FORBIDDEN", "not you")] });
    const followed = followRollout(write, options, never);
    await clock.advance(5_000);
    const words = await followed;
    expect([...words].map(([plane, { kind }]) => [plane, kind])).toEqual(expect.arrayContaining([["global", "answer"], ["a", "answer"], ["b", "closed"]]));
    expect(asked.filter(([plane]) => plane === "b")).toHaveLength(1);
  });

  it("fails with what the plane refuses where the write was made", async () => {
    const { options } = planesOf({ global: [new AtollError("ATOLL_NOT_FOUND", "there is no TrafficPolicy web/slow")] });
    await expect(followRollout(write, options, never)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
  });

  it("of a deletion asks every plane about that", async () => {
    const { asked, options } = planesOf({ global: [{ ...answer("g", [target("a", "done")]), generation: undefined }], a: [done] });
    await followRollout({ ...write, deleted: true }, options, never);
    expect(asked).toEqual([["global", { deleted: true, wait: 5 }], ["a", { deleted: true, wait: 5 }]]);
  });

  it("of what a cluster owns asks nobody but that cluster's plane", async () => {
    const { asked, options } = planesOf({ a: [answer("a", [{ kind: "global", name: "global", state: "done" }])] });
    await followRollout({ ...write, plane: "a" }, options, never);
    expect(asked.map(([plane]) => plane)).toEqual(["a"]);
  });

  it("ends at once when it is interrupted", async () => {
    const { options } = planesOf({ global: [answer("g", [target("a", "done")])], a: [new AtollError("ATOLL_ADMIN_UNAVAILABLE", "away")] });
    const stop = new AbortController();
    const followed = followRollout(write, options, stop.signal);
    stop.abort();
    await expect(followed).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  });
});
