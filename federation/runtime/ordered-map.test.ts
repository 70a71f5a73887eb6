import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DerivedMap } from "./derived-map.ts";
import { changedKeys, nodeWidthMax, OrderedMap } from "./ordered-map.ts";

const key = fc.string({ minLength: 0, maxLength: 3, unit: fc.constantFrom("a", "b", "/", "\u{1f3dd}") });
/** Undefined removes. */
const edits = fc.array(fc.tuple(key, fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined })), { maxLength: 60 });

/** Of as many keys as make several levels, removed in runs as well as one by one. */
const manyKeys = nodeWidthMax * nodeWidthMax * 2;
const runs = fc.array(fc.record({ from: fc.nat(manyKeys), count: fc.nat(manyKeys / 2), step: fc.constantFrom(-1, 1, 7, 1_009), value: fc.option(fc.nat(3), { nil: undefined }) }), { maxLength: 8 });

function editsOf(of: readonly { readonly from: number; readonly count: number; readonly step: number; readonly value: number | undefined }[]): readonly (readonly [string, number | undefined])[] {
  return of.flatMap(({ from, count, step, value }) => Array.from({ length: count }, (_, index): [string, number | undefined] => [`k${(((from + index * step) % manyKeys) + manyKeys) % manyKeys}`, value]));
}

function edited(map: OrderedMap<number>, changes: readonly (readonly [string, number | undefined])[]): OrderedMap<number> {
  return changes.reduce((next, [at, value]) => (value === undefined ? next.without(at) : next.with(at, value)), map);
}

function plain(changes: readonly (readonly [string, number | undefined])[]): Map<string, number> {
  const map = new Map<string, number>();
  for (const [at, value] of changes) {
    if (value === undefined) map.delete(at);
    else map.set(at, value);
  }
  return map;
}

describe("OrderedMap", () => {
  it("holds what a Map holds after the same edits, in the order of its keys", () => {
    fc.assert(
      fc.property(edits, key, (changes, prefix) => {
        const map = edited(OrderedMap.of(), changes);
        const dumb = plain(changes);
        const sorted = [...dumb].toSorted(([a], [b]) => (a < b ? -1 : 1));
        expect([...map]).toEqual(sorted);
        expect([...OrderedMap.of(dumb)]).toEqual(sorted);
        expect([[...map.keys()], [...map.values()], map.size]).toEqual([sorted.map(([at]) => at), sorted.map(([, value]) => value), dumb.size]);
        expect([...map.withPrefix(prefix)]).toEqual(sorted.filter(([at]) => at.startsWith(prefix)));
        expect([map.get(prefix), map.has(prefix)]).toEqual([dumb.get(prefix), dumb.has(prefix)]);
      }),
    );
  });

  it("tells what is different between any two states, whether one came of the other or not, and as a Map does", () => {
    fc.assert(
      fc.property(edits, edits, (first, more) => {
        const before = edited(OrderedMap.of(), first);
        const after = edited(before, more);
        const apart = OrderedMap.of(plain([...first, ...more]));
        const whole = changedKeys(new Map(before), new Map(after)).toSorted();
        expect([...changedKeys(before, after)].toSorted()).toEqual(whole);
        expect([...changedKeys(before, apart)].toSorted()).toEqual(whole);
        expect([...changedKeys(after, before)].toSorted()).toEqual(whole);
      }),
    );
  });

  it("holds and tells the same with as many entries as take several levels, while they come and while they go", () => {
    fc.assert(
      fc.property(runs, runs, (first, more) => {
        const before = edited(OrderedMap.of(), editsOf(first));
        const after = edited(before, editsOf(more));
        const dumb = plain([...editsOf(first), ...editsOf(more)]);
        expect([...after]).toEqual([...dumb].toSorted(([a], [b]) => (a < b ? -1 : 1)));
        expect(after.size).toBe(dumb.size);
        for (const at of ["", "k", "k1", "k77", "k999", "l"]) expect([after.get(at), [...after.withPrefix(at)].length]).toEqual([dumb.get(at), [...dumb.keys()].filter((one) => one.startsWith(at)).length]);
        expect(changedKeys(before, after)).toEqual([...changedKeys(new Map(before), new Map(after))].toSorted());
        expect(changedKeys(after, edited(OrderedMap.of(dumb), editsOf(more)))).toEqual([...changedKeys(new Map(after), plain([...dumb, ...editsOf(more)]))].toSorted());
      }),
      { numRuns: 60 },
    );
  });

  it("is empty again when the last of many is gone, and takes entries as before", () => {
    const names = Array.from({ length: manyKeys }, (_, index) => `k${index}`);
    let map = OrderedMap.of(names.map((name) => [name, 1]));
    for (const name of names) map = map.without(name);
    expect([map.size, [...map]]).toEqual([0, []]);
    expect([...map.with("k", 2)]).toEqual([["k", 2]]);
  });

  it("is the same map when an edit changes nothing", () => {
    const map = OrderedMap.of([["a", 1], ["b", 2]]);
    expect([map.with("a", 1), map.without("c")]).toEqual([map, map]);
    expect(map.with("a", 1)).toBe(map);
    expect(map.without("c")).toBe(map);
  });

  it("tells the changes of one state among many entries", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `web/service-${index}`);
    let before = OrderedMap.of<object>();
    for (const name of names) before = before.with(name, {});
    const after = before.with("web/service-77", {}).without("web/service-9000").with("web/another", {});
    expect([...changedKeys(before, after)].toSorted()).toEqual(["web/another", "web/service-77", "web/service-9000"]);
  });
});

describe("DerivedMap", () => {
  it("makes of every state what the whole of it makes, and looks only at entries that changed", () => {
    fc.assert(
      fc.property(edits, edits, (first, more) => {
        let made = 0;
        const make = (value: number, at: string): string | undefined => {
          made++;
          return value === 0 ? undefined : `${at}=${value}`;
        };
        const derived = new DerivedMap(make);
        const before = edited(OrderedMap.of(), first);
        const after = edited(before, more);
        derived.next(before);
        made = 0;
        const incremental = derived.next(after);
        expect(made).toBeLessThanOrEqual(changedKeys(before, after).length);
        expect([...incremental]).toEqual([...new DerivedMap(make).next(after)]);
        expect([...derived.anew(after)]).toEqual([...incremental]);
        expect(derived.next(after)).toBe(derived.current);
      }),
    );
  });
});
