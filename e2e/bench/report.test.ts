import { expect, test } from "vitest";
import { renderPair, renderShape } from "./report.ts";
import { summarize } from "./statistics.ts";

test("a table has the ratios and the ranges, and says where a peer's own addition was noise", () => {
  const text = renderShape({
    shape: "http",
    direct: { p50Micros: summarize([40]), p99Micros: summarize([200]) },
    subjects: [
      {
        subject: "haproxy",
        cpuMicrosPerRequest: summarize([12, 14, 13]),
        cpuRatio: summarize([1, 1, 1]),
        requestsPerSecond: summarize([70_000]),
        addedP50Micros: summarize([20]),
        addedP99Micros: summarize([80]),
        addedP99Ratio: 1,
        residentMegabytes: 15.4,
        errors: 0,
      },
      {
        subject: "atoll",
        cpuMicrosPerRequest: summarize([15]),
        cpuRatio: summarize([1.2, 1.1, 1.3]),
        requestsPerSecond: summarize([60_000]),
        addedP50Micros: summarize([30]),
        addedP99Micros: summarize([90]),
        residentMegabytes: 79.6,
        errors: 2,
      },
    ],
  });
  expect(text.split("\n")).toEqual([
    "http   (direct: p50 40 µs, p99 200 µs)",
    "         CPU µs/req         vs haproxy         req/s  added p50 µs  added p99 µs  vs haproxy  RSS MB  errors",
    "haproxy  13.0 [12.0..14.0]  1.00 [1.00..1.00]  70000  20 [20..20]   80 [80..80]   1.00        15      0",
    "atoll    15.0 [15.0..15.0]  1.20 [1.10..1.30]  60000  30 [30..30]   90 [90..90]   noise       80      2",
  ]);
});

test("a pair has a table for each concurrency, with what each of the two costs", () => {
  const text = renderPair({
    shape: "pair",
    connections: 32,
    subjects: [
      {
        subject: "atoll",
        cpuMicrosPerRequest: summarize([90]),
        callerMicrosPerRequest: summarize([46]),
        calleeMicrosPerRequest: summarize([44]),
        requestsPerSecond: summarize([11_000]),
        p99Micros: summarize([12_000]),
        cpuRatio: summarize([0.66, 0.6]),
        p99Ratio: summarize([0.8]),
        handshakes: 2,
        idleMegabytes: 74.6,
        residentMegabytes: 88.2,
        errors: 0,
      },
    ],
  });
  expect(text.split("\n")).toEqual([
    "pair, 32 concurrent",
    "       CPU µs/req         caller  callee  vs haproxy         req/s  p99 µs                vs haproxy         handshakes  idle MB  RSS MB  errors",
    "atoll  90.0 [90.0..90.0]  46.0    44.0    0.63 [0.60..0.66]  11000  12000 [12000..12000]  0.80 [0.80..0.80]  2           75       88      0",
  ]);
});
