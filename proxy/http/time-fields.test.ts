import { expect, test } from "vitest";
import { envoyTimeoutMs, grpcTimeoutMs, hopTimeoutMs } from "./time-fields.ts";

const none = Number.POSITIVE_INFINITY;

test.each([
  ["1H", 3_600_000],
  ["2M", 120_000],
  ["3S", 3_000],
  ["250m", 250],
  ["500u", 0.5],
  ["1000000n", 1],
  ["99999999S", 99_999_999_000],
  ["100000000S", none],
  ["0S", none],
  ["5s", none],
  ["5", none],
  ["S", none],
  ["", none],
  ["-5S", none],
  ["1.5S", none],
  [" 5S", none],
])("grpc-timeout %j is %d ms", (text, expected) => {
  expect(grpcTimeoutMs(text)).toBeCloseTo(expected, 6);
});

test.each([
  ["1500", 1_500],
  ["0", none],
  ["", none],
  ["1e3", none],
  ["-1", none],
])("x-envoy-upstream-rq-timeout-ms %j is %d ms", (text, expected) => {
  expect(envoyTimeoutMs(text)).toBe(expected);
});

test.each([
  ["0", 0],
  ["20", 20],
  ["1000000000000000000", 1e18],
  ["9".repeat(400), none],
  ["-1", none],
  ["2 0", none],
])("x-atoll-timeout-ms %j is %d ms", (text, expected) => {
  expect(hopTimeoutMs(text)).toBe(expected);
});
