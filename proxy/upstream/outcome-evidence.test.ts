import { describe, expect, test } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { LocalStall } from "../health/local-stall.ts";
import { SleepyClock } from "../health/sleepy-clock-fixture.ts";
import type { Outcome } from "./chooser.ts";
import { evidenceOf } from "./outcome-evidence.ts";

/** What `outcome` is worth of a try that began at 10 s, slept as told after 500 ms, and ended after `lengthMs`. */
async function worth(outcome: Outcome, sleptMs: number, lengthMs: number): Promise<Outcome> {
  const host = new VirtualClock();
  const clock = new SleepyClock(host);
  const stall = new LocalStall(clock);
  await host.advance(10_500);
  if (sleptMs > 0) clock.sleep(sleptMs);
  await host.advance(lengthMs - 500);
  return evidenceOf(outcome, stall, { sinceMs: 10_000, nowMs: host.monotonicMs() });
}

describe("what an outcome says of its target", () => {
  test.each(["timeout", "gatewayError", "reset", "connectFailure", "success", "refused", "cancelled"] as const)("%s says what it says in a process that was awake", async (outcome) => {
    expect(await worth(outcome, 0, 15_000)).toBe(outcome);
  });

  test("a timeout says nothing when more than a tenth of its time was slept", async () => {
    expect(await worth("timeout", 5_000, 15_000)).toBe("cancelled");
    expect(await worth("gatewayError", 5_000, 15_000)).toBe("cancelled");
    expect(await worth("timeout", 1_000, 15_000)).toBe("timeout");
    expect(await worth("timeout", 300, 2_000)).toBe("cancelled");
  });

  test("what broke says nothing of others once we slept for long enough to be given up, and everything after a nap", async () => {
    expect(await worth("reset", 5_000, 5_600)).toBe("cancelled");
    expect(await worth("connectFailure", 5_000, 5_600)).toBe("cancelled");
    expect(await worth("reset", 500, 1_100)).toBe("reset");
    expect(await worth("success", 5_000, 5_600)).toBe("success");
  });

  test("what is sent just after a long sleep meets what others closed meanwhile", async () => {
    const host = new VirtualClock();
    const clock = new SleepyClock(host);
    const stall = new LocalStall(clock);
    clock.sleep(20_000);
    await host.advance(20_500);
    const sinceMs = host.monotonicMs();
    await host.advance(50);
    expect(evidenceOf("reset", stall, { sinceMs, nowMs: host.monotonicMs() })).toBe("cancelled");
    await host.advance(2_000);
    expect(evidenceOf("reset", stall, { sinceMs: host.monotonicMs(), nowMs: host.monotonicMs() })).toBe("reset");
  });
});
