import { expect, test } from "vitest";
import { overloadOf, overloadsByService, overloadWords } from "./overload.ts";

test("an overload begins where more than a hundredth is refused, and is told in whole requests", () => {
  expect(overloadOf({ asked: 0, admitted: 0 })).toBeUndefined();
  expect(overloadOf({ asked: 200, admitted: 198 })).toBeUndefined();
  expect(overloadOf({ asked: 200.4, admitted: 197.6 })).toEqual({ admits: 197, asked: 201 });
  expect(overloadOf({ asked: 0.2, admitted: 0 })).toEqual({ admits: 0, asked: 1 });
  expect(overloadWords({ admits: 20, asked: 60 })).toBe("overloaded: admits 20 of 60 requests a second");
});

test("overloads of instances add up by service, and ports of one application count once", () => {
  const of = (instance: string, service: string, admits: number, asked: number) => ({ instance, namespace: "web", service, admits, asked });
  expect(overloadsByService([of("a", "catalog", 10, 30), of("b", "catalog", 5, 10), of("a", "catalog", 10, 20), of("a", "search", 10, 30)])).toEqual([
    { namespace: "web", service: "catalog", admits: 15, asked: 40, instances: ["a", "b"] },
    { namespace: "web", service: "search", admits: 10, asked: 30, instances: ["a"] },
  ]);
  expect(overloadsByService([])).toEqual([]);
});
