import fc from "fast-check";
import { expect, it } from "vitest";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { OfferedObjects } from "./offered-objects.ts";

const origins = new TestOrigins();
const objects = Array.from({ length: 6 }, (_, at) => [1, 2].map((revision) => origins.object("shop-eu", `s${at}`, revision)));

it("is what the rule lets through of the newest state, though only what changed is looked at", () => {
  const step = fc.record({ act: fc.constantFrom("set", "remove", "rule"), at: fc.nat(5), revision: fc.nat(1), allowed: fc.nat(63) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let allowed = 63;
      let asked = 0;
      const isAllowed = (key: string): boolean => (allowed & (1 << Number(key.slice(1)))) !== 0;
      const offered = new OfferedObjects({
        offers: ({ key }) => {
          asked++;
          return isAllowed(key);
        },
        basis: () => [allowed],
      });
      let state = OrderedMap.of<OpenedObject>();
      for (const { act, at, revision, allowed: next } of steps) {
        const object = objects[at]?.[revision] as OpenedObject;
        if (act === "set") state = state.with(objectId(object.payload), object);
        if (act === "remove") state = state.without(objectId(object.payload));
        const isSame = act !== "rule" || allowed === next;
        if (act === "rule") allowed = next;
        asked = 0;
        const { objects: found } = offered.next({ revision: 7, objects: state });
        expect([...found]).toEqual([...state].filter(([, { payload }]) => isAllowed(payload.key)));
        if (isSame) expect(asked).toBeLessThanOrEqual(1 + (state.size === 1 ? 1 : 0));
      }
    }),
  );
});

it("is everything where there is no rule", () => {
  const [first] = objects[0] as [OpenedObject, OpenedObject];
  const state = { revision: 3, objects: new Map([[objectId(first.payload), first]]) };
  expect(new OfferedObjects(undefined).next(state)).toEqual(state);
});
