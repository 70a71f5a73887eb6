import { expect, test } from "vitest";
import { renderLine } from "./render-line.ts";

test("is one line, with null for what was not measured, and lists as lists", () => {
  const app = { kneeRps: 157.46, goodput: { "1.5": 0.98765, "2": 1 / 3, "10": Number.NaN }, p99AdmittedRatio2x: 1.23456 };
  expect(renderLine({ app, cpu: null, hops: null, recoverMs: null, amplification3Hops: 1.05, handshakesAt2x: -2, placesLoweredWrongly: 0 })).toBe(
    '{"app":{"kneeRps":157,"goodput":{"1.5":0.988,"2":0.333,"10":null},"p99AdmittedRatio2x":1.235},"cpu":null,"hops":null,"recoverMs":null,"amplification3Hops":1.05,"handshakesAt2x":-2,"placesLoweredWrongly":0}',
  );
  expect(renderLine({ loaded: [{ rate: 50, p99Ms: 12.3456 }], none: [] })).toBe('{"loaded":[{"rate":50,"p99Ms":12.346}],"none":[]}');
});
