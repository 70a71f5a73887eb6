import { describe, expect, it } from "vitest";
import { summarize } from "./measure-host.ts";

describe("the probes' results", () => {
  it("come to the share of the processors that was got and the price of a round", () => {
    const results = [
      { rounds: 2_000, cpuMicros: 1_000_000, wallMs: 1_000 },
      { rounds: 1_000, cpuMicros: 500_000, wallMs: 1_000 },
    ];
    expect(summarize(results)).toEqual({ processors: 2, shareRatio: 0.75, roundMicros: 500 });
  });

  it("never come to more than all of the processors", () => {
    expect(summarize([{ rounds: 10, cpuMicros: 1_040_000, wallMs: 1_000 }]).shareRatio).toBe(1);
  });
});
