import { describe, expect, it } from "vitest";
import { rolloutStates, type RolloutTarget } from "#federation/model/rollout.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { FollowedWrite, PlaneWord } from "./follow-rollout.ts";
import type { RolloutAnswer } from "./rollout-route.ts";
import { describeMissing, rolloutRows } from "./rollout-rows.ts";

const write: FollowedWrite = { kind: "TrafficPolicy", path: { namespace: "web", name: "slow" }, plane: "global", deleted: false };

function answer(targets: readonly RolloutTarget[], leftOut = 0): PlaneWord {
  const counts = Object.fromEntries(rolloutStates.map((state) => [state, targets.filter((target) => target.state === state).length + (state === "done" ? leftOut : 0)])) as RolloutAnswer["counts"];
  return { kind: "answer", answer: { kind: "TrafficPolicy", id: "web/slow", done: targets.every(({ state }) => state === "done"), counts, targets: [...targets], targetsLeftOut: leftOut, asOfMs: 0, state: "s" } };
}

const cluster = (name: string, over: Partial<RolloutTarget> = {}): RolloutTarget => ({ kind: "cluster", name, state: "done", ...over });
const plane = (over: Partial<RolloutTarget> = {}): RolloutTarget => ({ kind: "plane", name: "p", state: "done", ...over });
const proxy = (name: string, over: Partial<RolloutTarget> = {}): RolloutTarget => ({ kind: "proxy", name, state: "done", ...over });
const rows = (words: Readonly<Record<string, PlaneWord>>, of = write) => rolloutRows(of, new Map(Object.entries(words)));

describe("the rows of a rollout", () => {
  it("join what the global plane says of a cluster with what that cluster's plane says of its proxies", () => {
    const all = rows({
      global: answer([cluster("d", { state: "unreachable", heardAgeMs: 12_000 }), cluster("a"), cluster("b"), cluster("c")]),
      a: answer([plane(), proxy("x"), proxy("y")]),
      b: answer([plane(), proxy("x", { state: "pending" }), proxy("y")]),
      d: answer([plane({ state: "pending" })]),
    });
    expect(all).toEqual([
      { cluster: "a", state: "done", proxies: { done: 2, total: 2 }, detail: "" },
      { cluster: "b", state: "pending", proxies: { done: 1, total: 2 }, detail: "proxy x: has not got it yet" },
      { cluster: "c", state: "done", detail: expect.stringContaining("not in the context") as string },
      { cluster: "d", state: "unreachable", detail: "not heard for 12 s" },
    ]);
    expect(describeMissing(all)).toBe("b: proxy x: has not got it yet; d: not heard for 12 s");
  });

  it("tell a refusal before everything that only waits, with its reason", () => {
    const [row] = rows({ global: answer([cluster("a")]), a: answer([plane(), proxy("x", { state: "pending" }), proxy("y", { state: "refused", reason: "no such thing" })]) });
    expect(row).toMatchObject({ state: "refused", detail: "proxy y: refuses it: no such thing" });
  });

  it("count the proxies that an answer leaves out", () => {
    const [row] = rows({ global: answer([cluster("a")]), a: answer([plane(), proxy("x", { state: "pending" })], 500) });
    expect(row?.proxies).toEqual({ done: 500, total: 501 });
  });

  it("tell a plane that gives no answer from one that does not say", () => {
    const error = new AtollError("ATOLL_ADMIN_UNAVAILABLE", "refused");
    const [silent, closed] = rows({ global: answer([cluster("a"), cluster("b")]), a: { kind: "silent", error }, b: { kind: "closed", error } });
    expect(silent).toMatchObject({ state: "unreachable", detail: "its plane gives no answer: refused" });
    expect(closed).toMatchObject({ state: "done", detail: "its plane says nothing of its proxies: refused" });
    expect(rows({ global: { kind: "silent", error } })).toMatchObject([{ cluster: "global", state: "unreachable" }]);
  });

  it("of what a cluster owns are one, with the global plane that has yet to hear of it", () => {
    const [row] = rows({ a: answer([{ kind: "global", name: "global", state: "unreachable", heardAgeMs: 5_000 }, plane(), proxy("x")]) }, { ...write, plane: "a" });
    expect(row).toEqual({ cluster: "a", state: "unreachable", proxies: { done: 1, total: 1 }, detail: "the global plane: not heard for 5 s" });
  });

  it("name two of whom something is missing, and count the others", () => {
    expect(describeMissing(rows({ global: answer(["a", "b", "c", "d"].map((name) => cluster(name, { state: "pending", behindMs: 900 }))) }))).toBe("a: has not got it, 900 ms behind; b: has not got it, 900 ms behind; 2 more");
    expect(describeMissing([])).toBe("");
  });
});
