import { describe, expect, it } from "vitest";
import { behindMs, loadFor, loadOf, lowerRate } from "./demo-load.ts";

const regions = ["eu-west", "us-east", "ap-south"];

describe("the load of a drill", () => {
  it.each([520, 200, 100, 40, 30])("at %i requests/s keeps over 50 in flight into the region that dies", (rate) => {
    const { rates, workMs } = loadFor(rate, "us-east", regions);
    const inFlight = ((rates.get("us-east") ?? 0) * (workMs + behindMs)) / 1_000;
    expect(inFlight).toBeGreaterThanOrEqual(55);
    expect([...rates.values()].reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(rate + 2);
    expect([...rates.keys()].sort()).toEqual([...regions].sort());
  });

  it("has the region's users call most, and somebody everywhere", () => {
    expect(Object.fromEntries(loadFor(30, "eu-west", regions).rates)).toEqual({ "eu-west": 20, "us-east": 5, "ap-south": 5 });
    expect(Object.fromEntries(loadFor(100, "eu-west", ["eu-west"]).rates)).toEqual({ "eu-west": 100 });
  });

  it("lets work be short where many call", () => {
    expect(loadFor(520, "eu-west", regions).workMs).toBe(150);
  });

  it("keeps the shares that a file gives each region's users, and knows nothing of the work behind them", () => {
    const load = loadOf([{ region: "eu", ratePerSecond: 20 }, { region: "us", ratePerSecond: 10 }, { region: "ap", ratePerSecond: 1 }], 15);
    expect(Object.fromEntries(load.rates)).toEqual({ eu: 10, us: 5, ap: 1 });
    expect(load.workMs).toBeUndefined();
  });

  it("is lowered in steps, down to where it still shows something", () => {
    const steps: number[] = [];
    for (let rate: number | undefined = 520; rate !== undefined; rate = lowerRate(rate)) steps.push(rate);
    expect(steps).toEqual([520, 312, 187, 112, 67, 40, 30]);
  });
});
