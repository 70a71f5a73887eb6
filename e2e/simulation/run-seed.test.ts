import { describe, expect, it } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { clusters, planeNames } from "./cast.ts";
import { operationsOf } from "./operations.ts";
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
    expect([...kinds].toSorted()).toEqual(["cut", "deletePolicy", "export", "faultless", "join", "lossy", "putPolicy", "relate", "restart", "revoke", "rollBack", "skew", "unexport", "wait", "wipe"]);
  });

  it.each(planeNames)("notices that the store of %s went back, with a restart and under the plane, and comes to what is decided", async (plane) => {
    const own = plane === "global" ? ({ kind: "putPolicy", key: 0 } as const) : ({ kind: "export", cluster: plane, key: 0 } as const);
    for (const withRestart of [true, false]) {
      for (const decision of ["keep", "take-newer"] as const) {
        const { violations } = await runOperations(1, [own, { kind: "wait", ms: 1_000 }, own, { kind: "wait", ms: 1_000 }, { kind: "rollBack", plane, decision, withRestart }, own]);
        expect(violations, `${decision} ${withRestart ? "with" : "without"} a restart`).toEqual([]);
      }
    }
  });

  it("does not bring back what was revoked, whatever is decided", async () => {
    for (const decision of ["keep", "take-newer"] as const) {
      const { violations } = await runOperations(1, [{ kind: "export", cluster: "shop-eu", key: 0 }, { kind: "relate" }, { kind: "wait", ms: 5_000 }, { kind: "revoke" }, { kind: "wait", ms: 5_000 }, { kind: "rollBack", plane: "global", decision, withRestart: false }]);
      expect(violations, decision).toEqual([]);
    }
  });

  it("has two clusters of one team, and one of another", () => {
    expect(new Set(clusters.map(({ trustDomain }) => trustDomain)).size).toBe(2);
  });
});
