import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DerivedMap } from "./derived-map.ts";
import { changedKeys, OrderedMap } from "./ordered-map.ts";

const key = fc.string({ minLength: 0, maxLength: 3, unit: fc.constantFrom("a", "b", "/", "\u{1f3dd}") });
/** Undefined removes. */
const edits = fc.array(fc.tuple(key, fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined })), { maxLength: 60 });

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

  it("is the same map when an edit changes nothing", () => {
    const map = OrderedMap.of([["a", 1], ["b", 2]]);
    expect([map.with("a", 1), map.without("c")]).toEqual([map, map]);
    expect(map.with("a", 1)).toBe(map);
    expect(map.without("c")).toBe(map);
  });

  it("stays flat, and one change of many entries leaves the others shared", () => {
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
