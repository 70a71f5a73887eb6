import { describe, expect, it } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { clusters, planeNames } from "./cast.ts";
import { operationsOf, type Operation } from "./operations.ts";
import { runOperations, runSeed } from "./run-seed.ts";

describe("a seed of the simulated federation", () => {
  it("shows the same at every plane each time that it is run", async () => {
    const [first, again, other] = [await runSeed(4), await runSeed(4), await runSeed(5)];
    expect([first.violations, other.violations]).toEqual([[], []]);
    expect(again.trace).toBe(first.trace);
    expect(other.trace).not.toBe(first.trace);
  });

  it("has, over many seeds, everything that may happen", () => {
    const kinds = new Set(Array.from({ length: 200 }, (_, seed) => operationsOf(createSeededRandom(seed)).map(({ kind }) => kind)).flat());
    expect([...kinds].toSorted()).toEqual(["clone", "cut", "deletePolicy", "export", "faultless", "join", "lossy", "putPolicy", "relate", "restart", "revoke", "rollBack", "skew", "trouble", "unexport", "untroubled", "wait", "wipe"]);
  });

  it.each(planeNames)("notices that the store of %s went back, under the plane, around a restart, and with its own witness lost, and comes to what is decided", async (plane) => {
    const own = ownWrite(plane);
    for (const around of ["nothing", "restart", "lostWitness"] as const) {
      for (const decision of ["keep", "take-newer"] as const) {
        const { violations } = await runOperations(1, [own, { kind: "wait", ms: 1_000 }, own, ownWrite(plane, 1), { kind: "rollBack", plane, decision, around }, own]);
        expect(violations, `${decision}, ${around}`).toEqual([]);
      }
    }
  });

  it("does not bring back what was revoked, whatever is decided", async () => {
    for (const decision of ["keep", "take-newer"] as const) {
      const { violations } = await runOperations(1, [{ kind: "export", cluster: "shop-eu", key: 0 }, { kind: "relate" }, { kind: "wait", ms: 5_000 }, { kind: "revoke" }, { kind: "wait", ms: 5_000 }, { kind: "rollBack", plane: "global", decision, around: "nothing" }]);
      expect(violations, decision).toEqual([]);
    }
  });

  it("may keep a relationship of which nobody knows whether it was written", async () => {
    const { violations } = await runOperations(1, [{ kind: "trouble", plane: "global", trouble: "unanswered" }, { kind: "relate" }, { kind: "rollBack", plane: "global", decision: "keep", around: "nothing" }]);
    expect(violations).toEqual([]);
  });

  it.each(planeNames)("lets a copy of %s change nothing anywhere, and goes on when it has ended", async (plane) => {
    const { violations } = await runOperations(1, [ownWrite(plane), { kind: "wait", ms: 1_000 }, { kind: "clone", plane }, ownWrite(plane)]);
    expect(violations).toEqual([]);
  });

  it.each(planeNames)("loses nothing of what %s has acknowledged, whatever ails its store", async (plane) => {
    for (const trouble of ["away", "full", "unanswered"] as const) {
      const troubled: Operation[] = [ownWrite(plane), { kind: "trouble", plane, trouble }, ownWrite(plane), { kind: "wait", ms: 5_000 }, ownWrite(plane), { kind: "restart", plane }, { kind: "untroubled", plane }, ownWrite(plane)];
      const { violations } = await runOperations(1, troubled);
      expect(violations, trouble).toEqual([]);
    }
  });

  it("has two clusters of one team, and one of another", () => {
    expect(new Set(clusters.map(({ trustDomain }) => trustDomain)).size).toBe(2);
  });
});

/** A write of something that the plane owns. */
function ownWrite(plane: string, key = 0): Operation {
  return plane === "global" ? { kind: "putPolicy", key } : { kind: "export", cluster: plane, key };
}
