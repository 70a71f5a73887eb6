import { expect, it } from "vitest";
import { LosingLink } from "./losing-link-fixture.ts";

it("a receiver knows how far its publisher's clock is from its own, and follows one that is put right", async () => {
  const link = new LosingLink(1);
  try {
    await link.clock.advance(1_500);
    expect(link.status?.clockAheadMs).toBeUndefined();
    await link.clock.advance(5_000);
    expect(Math.abs(link.status?.clockAheadMs ?? Infinity)).toBeLessThan(50);
    link.publisherAheadMs = 600_000;
    await link.clock.advance(2_000);
    expect(Math.abs((link.status?.clockAheadMs ?? 0) - 600_000)).toBeLessThan(50);
    link.publisherAheadMs = -600_000;
    await link.clock.advance(20_000);
    expect(Math.abs((link.status?.clockAheadMs ?? 0) + 600_000)).toBeLessThan(50);
    expect(link.status).toMatchObject({ isBehind: false });
  } finally {
    await link.stop();
  }
});
