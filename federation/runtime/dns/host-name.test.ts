import { describe, expect, it } from "vitest";
import { hostPort, isDnsName, isHost } from "./host-name.ts";

describe("a host", () => {
  it.each(["gateways.shop.example", "localhost", "a-1.b", "xn--bcher-kva.example", "1.example", "10.0.0.1", "fd00::1", `${"a".repeat(63)}.example`])("may be %s", (text) => {
    expect(isHost(text)).toBe(true);
  });

  it.each(["", "10.0.0.256", "10.0.0", "Gateways.example", "a..b", "a.example.", "-a.example", "a_b.example", "fe80::1%eth0", "*.example", `${"a".repeat(64)}.example`, `${"a.".repeat(127)}aa`])(
    "is never %s",
    (text) => {
      expect(isHost(text)).toBe(false);
    },
  );

  it("is a name when it is no address", () => {
    expect(isDnsName("10.0.0.1")).toBe(false);
    expect(isDnsName("localhost")).toBe(true);
  });

  it("stands before its port, in brackets when it has colons", () => {
    expect([hostPort("gw.example", 443), hostPort("10.0.0.1", 443), hostPort("fd00::1", 443)]).toEqual(["gw.example:443", "10.0.0.1:443", "[fd00::1]:443"]);
  });
});
