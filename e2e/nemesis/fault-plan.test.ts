import { describe, expect, it } from "vitest";
import { describeFault, faultKinds, placesOf, planFaults, type FaultKind } from "./fault-plan.ts";

const lastsMs = [5_000, 20_000] as const;
const seeds = Array.from({ length: 2_000 }, (_, seed) => seed);
const allKinds = Object.keys(faultKinds) as readonly FaultKind[];

describe.each(["embedded", "engines", "members"] as const)("a plan of faults (%s)", (ground) => {
  const plans = seeds.map((seed) => planFaults(seed, { ground, lastsMs }));

  it("is the same for the same seed", () => {
    expect(planFaults(7, { ground, lastsMs })).toEqual(plans[7]);
  });

  it("has one to three faults within the bounds, each number of them often, and never two at one place", () => {
    const counts = Map.groupBy(plans, ({ faults }) => faults.length);
    expect(new Set(counts.keys())).toEqual(new Set([1, 2, 3]));
    for (const some of counts.values()) expect(some.length).toBeGreaterThan(seeds.length / 10);
    for (const { faults } of plans) {
      expect(new Set(faults.map(({ place }) => place)).size).toBe(faults.length);
      for (const fault of faults) expect(fault.lastsMs >= lastsMs[0] && fault.lastsMs <= lastsMs[1]).toBe(true);
    }
  });

  it("has every kind that these engines have, at every place where it can be", () => {
    const found = new Set(plans.flatMap(({ faults }) => faults.map(({ kind, place }) => `${kind} ${place}`)));
    expect([...found].toSorted()).toEqual(allKinds.flatMap((kind) => placesOf(kind, ground).map((place) => `${kind} ${place}`)).toSorted());
  });

  it("begins with what has to be decided, of which there is one at most, and kills everything beside nothing else", () => {
    const decided: readonly FaultKind[] = ["rollback", "rollback-restart", "wipe", "clone"];
    for (const { faults } of plans) {
      expect(faults.slice(1).filter(({ kind }) => decided.includes(kind))).toEqual([]);
      if (faults.some(({ kind }) => kind === "cold")) expect(faults.filter(({ kind }) => kind !== "cold" && !decided.includes(kind))).toEqual([]);
    }
  });
});

it("one member of an engine is away, or cut from the others, beside members of other engines alone", () => {
  const isOfMember = ({ kind }: { readonly kind: FaultKind }): boolean => kind === "member" || kind === "split";
  const plans = seeds.map((seed) => planFaults(seed, { ground: "members", lastsMs }).faults).filter((faults) => faults.some(isOfMember));
  expect(plans.some(({ length }) => length > 1)).toBe(true);
  for (const faults of plans) {
    expect(faults.filter((fault) => !isOfMember(fault))).toEqual([]);
    expect(new Set(faults.map(({ place }) => place.replace(/-[123]$/, ""))).size).toBe(faults.length);
  }
});

it("nothing else happens to a plane whose etcd has lost its quorum, nor to that etcd", () => {
  const plans = seeds.map((seed) => planFaults(seed, { ground: "members", lastsMs }).faults);
  for (const faults of plans) {
    for (const { place } of faults.filter(({ kind }) => kind === "quorum")) expect(faults.filter((other) => other.place.startsWith(place)).length).toBe(1);
  }
});

it("proxies of one cluster at most come back at once", () => {
  const crowds = seeds.map((seed) => planFaults(seed, { ground: "engines", lastsMs, kinds: ["reconnect", "kill"] }).faults.filter(({ kind }) => kind === "reconnect").length);
  expect(new Set(crowds)).toEqual(new Set([0, 1]));
});

it("a plan keeps to the kinds that are asked for", () => {
  const kinds = new Set(seeds.flatMap((seed) => planFaults(seed, { ground: "embedded", lastsMs, kinds: ["kill", "rollback"] }).faults.map(({ kind }) => kind)));
  expect([...kinds]).toEqual(["kill"]);
});

it("a fault is described by what, where and how long", () => {
  expect(describeFault({ kind: "kill", place: "global", afterMs: 0, lastsMs: 5_400, isOther: false })).toBe("kill global for 5 s");
});
