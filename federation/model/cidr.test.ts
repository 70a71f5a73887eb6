import { describe, expect, it } from "vitest";
import { isAddressWithin, isCidr, plainAddress } from "./cidr.ts";

describe("networks", () => {
  it("are IPv4 or IPv6 with as many bits as they can have, and nothing else", () => {
    for (const good of ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "2001:db8::/32", "::1/128"]) expect(isCidr(good), good).toBe(true);
    for (const bad of ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "fe80::1%eth0/64", "host/8", "10.0.0.0/-1", "/8", ""]) expect(isCidr(bad), bad).toBe(false);
  });

  it("hold their addresses, IPv4 in IPv6's clothes and in brackets too", () => {
    expect(isAddressWithin("10.9.8.7", ["192.0.2.0/24", "10.0.0.0/8"])).toBe(true);
    expect(isAddressWithin("::ffff:10.9.8.7", ["10.0.0.0/8"])).toBe(true);
    expect(isAddressWithin("[2001:db8::5]", ["2001:db8::/32"])).toBe(true);
    expect(isAddressWithin("11.0.0.1", ["10.0.0.0/8", "2001:db8::/32"])).toBe(false);
    expect(isAddressWithin("2001:db9::1", ["10.0.0.0/8", "2001:db8::/32"])).toBe(false);
  });

  it("let everybody in when there are none, and nobody whose address is not known when there are", () => {
    expect(isAddressWithin("198.51.100.1", [])).toBe(true);
    expect(isAddressWithin("unknown", ["0.0.0.0/0", "::/0"])).toBe(false);
  });

  it("do not change what is no mapped address", () => {
    expect(plainAddress("::1")).toBe("::1");
    expect(plainAddress("::ffff:a00:1")).toBe("::ffff:a00:1");
  });
});
