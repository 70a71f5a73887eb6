import { expect, it } from "vitest";
import { isDialledForBundles } from "./endpoint-address.ts";

const own = "10.0.0.5";

it("dials public and private addresses", () => {
  for (const address of ["203.0.113.7", "10.1.2.3", "192.168.1.1", "100.64.0.1", "2001:db8::7", "fd12:3456::1"]) expect(isDialledForBundles(address, own), address).toBe(true);
});

it("dials neither this host nor its link, nor what is no one host, in whatever form it is written", () => {
  const refused = ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "fd00:ec2::254", "224.0.0.1", "ff02::1", "255.255.255.255"];
  // As a URL has an IPv4 address in IPv6's clothes.
  for (const address of [...refused, "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:127.0.0.1", "::ffff:7f00:1"]) expect(isDialledForBundles(address, own), address).toBe(false);
});

it("dials loopback where the plane itself is on it, and the link not even then", () => {
  expect(isDialledForBundles("127.0.0.2", "127.0.0.1")).toBe(true);
  expect(isDialledForBundles("::1", "127.0.0.1")).toBe(true);
  expect(isDialledForBundles("127.0.0.2", "0.0.0.0")).toBe(false);
  expect(isDialledForBundles("169.254.169.254", "127.0.0.1")).toBe(false);
});
