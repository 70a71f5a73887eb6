import { expect, test } from "vitest";
import * as fc from "fast-check";
import { createWorkloadId, isReservedPath, isSpiffeId, isTrustDomainName, parseSpiffeId, parseTrustDomainName, pathOf, trustDomainOf } from "./spiffe-id.ts";

const validIds = ["spiffe://trustdomain", "spiffe://td/path", "spiffe://td/.path", "spiffe://td/..path", "spiffe://td/...", "spiffe://1.2.3.4/x", "spiffe://a_b-c.d/A-Z_0.9"];

const invalidIds = [
  "",
  "s",
  "spiffe:/",
  "spiffe://",
  "spiffe:///",
  "spiffe:///path",
  "spiffe://td/",
  "spiffe://td//path",
  "spiffe://td/path/",
  "spiffe://td/./path",
  "spiffe://td/path/..",
  "spiffe://td/%61",
  "spiffe://user@td/path",
  "spiffe://td:80/path",
  "spiffe://td/path?q",
  "spiffe://td/path#f",
  "spiffe://TD/path",
  "spiffe://[::1]/path",
  "Spiffe://td/path",
  "http://td/path",
  " spiffe://td/path",
  "spiffe://td/path\n",
  "spiffe://td/pa\u0000th",
];

test.each(validIds)("%s is a SPIFFE ID", (text) => {
  expect(parseSpiffeId(text)).toBe(text);
});

test.each(invalidIds)("%j is refused", (text) => {
  expect(() => parseSpiffeId(text)).toThrowError(expect.objectContaining({ code: "ATOLL_SPIFFE_ID_INVALID" }));
});

test("each byte counts in trust domain and path exactly as the specification says", () => {
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte);
    expect(isSpiffeId(`spiffe://t${char}d/p`), `trust domain with byte ${byte}`).toBe(/[a-z0-9._/-]/.test(char));
    expect(isSpiffeId(`spiffe://td/p${char}p`), `path with byte ${byte}`).toBe(/[A-Za-z0-9._/-]/.test(char));
  }
});

test("2048 characters are read and 2049 are not; 255 of a trust domain and not 256", () => {
  const head = "spiffe://td/";
  expect(isSpiffeId(head + "a".repeat(2048 - head.length))).toBe(true);
  expect(isSpiffeId(head + "a".repeat(2049 - head.length))).toBe(false);
  expect(isSpiffeId(`spiffe://${"a".repeat(255)}/p`)).toBe(true);
  expect(isSpiffeId(`spiffe://${"a".repeat(256)}/p`)).toBe(false);
});

test("what is read splits into trust domain and path and joins again", () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}$/);
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9._-]{1,30}$/), fc.array(segment, { maxLength: 6 }), (domain, segments) => {
      const id = parseSpiffeId(["spiffe://" + domain, ...segments].join("/"));
      expect(trustDomainOf(id)).toBe(domain);
      expect(`spiffe://${trustDomainOf(id)}${pathOf(id)}`).toBe(id);
    }),
  );
});

test("any string is either refused or survives the URL parser unchanged", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string().map((tail) => `spiffe://td${tail}`), fc.webUrl()), (text) => {
      if (!isSpiffeId(text)) return;
      const url = new URL(text);
      expect([url.username, url.password, url.port, url.search, url.hash]).toEqual(["", "", "", "", ""]);
      expect(url.host).toBe(trustDomainOf(text));
      expect(url.pathname).toBe(pathOf(text));
    }),
  );
});

test("trust domains are DNS-safe and fit a server name", () => {
  for (const good of ["shop.example", "a", "a-b.c1", "x".repeat(63)]) expect(isTrustDomainName(good), good).toBe(true);
  for (const bad of ["", ".", "a.", ".a", "a..b", "a_b", "-a", "a-", "A", "1.2.3.4", "a.1", "x".repeat(64), `${"a".repeat(57)}.${"b".repeat(57)}`, "ä"]) {
    expect(isTrustDomainName(bad), bad).toBe(false);
    expect(() => parseTrustDomainName(bad)).toThrowError(expect.objectContaining({ code: "ATOLL_SPIFFE_ID_INVALID" }));
  }
  const longest = `${"a".repeat(57)}.${"b".repeat(56)}`;
  expect(`p65535.${"s".repeat(63)}.${"n".repeat(63)}.svc.${parseTrustDomainName(longest)}`).toHaveLength(253);
});

test("the reserved path is /atoll and what lies under it, by whole segments", () => {
  const domain = parseTrustDomainName("shop.example");
  expect(isReservedPath(parseSpiffeId("spiffe://shop.example/atoll/gateway/shop-eu"))).toBe(true);
  expect(isReservedPath(parseSpiffeId("spiffe://shop.example/atoll"))).toBe(true);
  expect(isReservedPath(parseSpiffeId("spiffe://shop.example/atolls/x"))).toBe(false);
  expect(isReservedPath(createWorkloadId(domain, "web", "storefront"))).toBe(false);
  expect(() => createWorkloadId(domain, "web/sa/admin/..", "x")).toThrow();
  expect(() => createWorkloadId(domain, "", "x")).toThrow();
});
