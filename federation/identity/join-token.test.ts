import * as fc from "fast-check";
import { expect, test } from "vitest";
import { isAtollError } from "#federation/runtime/errors.ts";
import { createJoinToken, decodeJoinToken, encodeJoinToken, hashJoinSecret, isJoinSecret, parseAddress } from "./join-token.ts";

const root = "ab".repeat(32);
const invalid = expect.objectContaining({ code: "ATOLL_JOIN_TOKEN_INVALID" });

test("a token travels as one string, blanks around it forgiven", () => {
  const token = createJoinToken(["10.0.0.1:7401", "[2001:db8::1]:7401", "plane.example:7401"], root);
  const text = encodeJoinToken(token);
  expect(text).toMatch(/^atoll1\.[A-Za-z0-9_-]+$/);
  expect(decodeJoinToken(`  ${text}\n`)).toEqual(token);
});

test("secrets have 256 bits and differ; the stored hash shows nothing of them and knows only its own", () => {
  const [one, two] = [createJoinToken(["a:1"], root), createJoinToken(["a:1"], root)];
  expect(Buffer.from(one.secret, "base64url")).toHaveLength(32);
  expect(one.secret).not.toBe(two.secret);
  expect(one.id).not.toBe(two.id);
  expect(isJoinSecret(one.secret, hashJoinSecret(one.secret))).toBe(true);
  expect(isJoinSecret(two.secret, hashJoinSecret(one.secret))).toBe(false);
  for (const hash of ["", "00", "zz".repeat(32)]) expect(isJoinSecret(one.secret, hash)).toBe(false);
});

test("damaged tokens are refused without repeating what they hold", () => {
  const token = createJoinToken(["a:1"], root);
  const withField = (change: object): string => `atoll1.${Buffer.from(JSON.stringify({ ...token, ...change })).toString("base64url")}`;
  const bad = [
    "",
    "atoll1.",
    "atoll2.e30",
    "atoll1.e30",
    "atoll1.bnVsbA",
    withField({ addresses: [] }),
    withField({ addresses: ["a"] }),
    withField({ addresses: Array.from({ length: 17 }, () => "a:1") }),
    withField({ rootSha256: "AB".repeat(32) }),
    withField({ secret: token.secret.slice(1) }),
    withField({ id: "a/b" }),
    `atoll1.${"A".repeat(9_000)}`,
    encodeJoinToken(token).slice(0, -5),
  ];
  for (const text of bad) expect(() => decodeJoinToken(text), text.slice(0, 40)).toThrowError(invalid);
  try {
    decodeJoinToken(encodeJoinToken(token).slice(0, -5));
  } catch (error) {
    expect((error as Error).cause).toBeUndefined();
    expect(String(error)).not.toContain(token.secret.slice(0, 8));
  }
  expect(() => createJoinToken(["nowhere"], root)).toThrowError(invalid);
});

test("any text is refused with the one code", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json().map((json) => `atoll1.${Buffer.from(json).toString("base64url")}`)), (text) => {
      try {
        decodeJoinToken(text);
        expect.unreachable("no random text is a token");
      } catch (error) {
        expect(isAtollError(error, "ATOLL_JOIN_TOKEN_INVALID")).toBe(true);
      }
    }),
  );
});

test("addresses are host:port with a port that exists", () => {
  expect(parseAddress("127.0.0.1:7401")).toEqual({ host: "127.0.0.1", port: 7401 });
  expect(parseAddress("[::1]:1")).toEqual({ host: "::1", port: 1 });
  for (const bad of ["", ":1", "a:", "a:0", "a:65536", "a:1:2", "[::1]", "a b:1", "http://a:1"]) expect(parseAddress(bad), bad).toBeUndefined();
});
