import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { withJwtAuthorities, type TrustBundle } from "#federation/model/trust-bundle.ts";
import { acceptBundle } from "./accept-bundle.ts";
import { sameAnchors } from "./anchors.ts";
import { bundleKeysMax, bundleLengthBytesMax, encodeBundle, encodeJwtBundle, parseBundle } from "./bundle-jwks.ts";
import { createDomainFixture } from "./identity-fixture.ts";
import { jwtAuthorityOf } from "./jwt-svid.ts";
import { createKeyPair } from "./key-pair.ts";
import { parseChainPem } from "./pem.ts";

const nowMs = Date.UTC(2030, 0, 1);
const shop = createDomainFixture("shop.example", nowMs);
const shopNext = createDomainFixture("shop.example", nowMs);
const pay = createDomainFixture("pay.example", nowMs);
const invalid = expect.objectContaining({ code: "ATOLL_BUNDLE_INVALID" });

function keyOf(der: Uint8Array): Record<string, unknown> {
  return { use: "x509-svid", kty: "EC", crv: "P-256", x5c: [Buffer.from(der).toString("base64")] };
}

function parse(document: unknown): TrustBundle {
  return parseBundle(typeof document === "string" ? document : JSON.stringify(document), shop.name);
}

test("a bundle survives its document, which has the shape that SPIFFE asks for", () => {
  const bundle: TrustBundle = { ...shop.bundle, sequence: 7, refreshHintSeconds: 60, x509Authorities: [shop.root.certificateDer, shopNext.root.certificateDer] };
  const text = encodeBundle(bundle);
  const document = JSON.parse(text) as { keys: Record<string, unknown>[]; spiffe_sequence: number };
  expect(document.spiffe_sequence).toBe(7);
  for (const key of document.keys) {
    expect(key).toMatchObject({ use: "x509-svid", kty: "EC", crv: "P-256" });
    expect(key).not.toHaveProperty("kid");
    expect(key["x5c"]).toHaveLength(1);
  }
  expect(parseBundle(text, shop.name)).toEqual(bundle);
});

test("JWT authorities are in the document beside the roots, each under its key id, and alone in that of the Workload API", () => {
  const [first, second] = [jwtAuthorityOf(createKeyPair().publicKey), jwtAuthorityOf(createKeyPair().publicKey)];
  const bundle: TrustBundle = { ...shop.bundle, jwtAuthorities: [first, second] };
  const text = encodeBundle(bundle);
  const { keys } = JSON.parse(text) as { readonly keys: readonly Record<string, unknown>[] };
  expect(keys.map(({ use, kid }) => [use, kid])).toEqual([["x509-svid", undefined], ["jwt-svid", first.keyId], ["jwt-svid", second.keyId]]);
  expect(Object.keys(keys[1] ?? {}).toSorted()).toEqual(["crv", "kid", "kty", "use", "x", "y"]);
  expect(parseBundle(text, shop.name)).toEqual(bundle);
  expect(JSON.parse(encodeJwtBundle(bundle))).toEqual({ keys: keys.slice(1) });
  expect(encodeJwtBundle(shop.bundle)).toBe('{"keys":[]}');

  const [, jwt = {}, other = {}] = keys;
  expect(parse({ keys: [jwt, jwt, { ...other, kid: undefined }, { ...other, kty: "RSA" }, { ...other, crv: "P-384" }] }).jwtAuthorities, "what is doubled or no such key").toEqual([first]);
  for (const wrong of [{ ...other, kid: first.keyId }, { ...other, kid: "k".repeat(129) }, { ...other, x: "AAAA" }, { ...other, y: 1 }]) {
    expect(() => parse({ keys: [jwt, wrong] })).toThrow(invalid);
  }
});

test("JWT authorities have no part in which bundle takes another's place", () => {
  const withKeys: TrustBundle = { ...shop.bundle, jwtAuthorities: [jwtAuthorityOf(createKeyPair().publicKey)] };
  expect(acceptBundle(shop.bundle, withKeys)).toEqual({ kind: "unchanged", bundle: shop.bundle });
  expect(sameAnchors([shop.bundle], [withKeys])).toBe(true);
  expect(withJwtAuthorities(shop.bundle, withKeys.jwtAuthorities ?? [])).toEqual(withKeys);
  expect(withJwtAuthorities(withKeys, [...(withKeys.jwtAuthorities ?? [])])).toBe(withKeys);
  expect(withJwtAuthorities(withKeys, [])).toEqual(shop.bundle);
});

test("what is unknown is passed over, what is doubled counts once, and only the first certificate of an entry counts", () => {
  const root = keyOf(shop.root.certificateDer);
  const keys = [
    { use: "jwt-svid", kty: "EC", kid: "1" },
    { use: "wit-svid", kty: "EC" },
    { ...root, kty: "OKP" },
    { use: "x509-svid", kty: "EC" },
    { ...root, x5c: [] },
    "text",
    null,
    root,
    { ...root, x5c: [...(root["x5c"] as string[]), "not a certificate"] },
  ];
  expect(parse({ keys, other: 1 })).toEqual({ ...shop.bundle, sequence: 0 });
  expect(parse({ keys: [] }).x509Authorities).toEqual([]);
});

test.each([
  ["no JSON", "{"],
  ["no object", "[]"],
  ["no keys", {}],
  ["keys that are no list", { keys: {} }],
  ["too many keys", { keys: Array.from({ length: bundleKeysMax + 1 }, () => ({})) }],
  ["too many bytes", `{"keys":[],"x":"${"a".repeat(bundleLengthBytesMax)}"}`],
  ["a root of another trust domain", { keys: [keyOf(pay.root.certificateDer)] }],
  ["a leaf as root", { keys: [keyOf(parseChainPem(shop.issue("spiffe://shop.example/x", "root").certificateChainPem)[0] as Buffer)] }],
  ["no certificate", { keys: [{ ...keyOf(shop.root.certificateDer), x5c: ["AAAA"] }] }],
  ["no base64", { keys: [{ ...keyOf(shop.root.certificateDer), x5c: ["?"] }] }],
  ["a negative sequence", { keys: [], spiffe_sequence: -1 }],
  ["a broken sequence", { keys: [], spiffe_sequence: 1.5 }],
  ["a sequence beyond whole numbers", '{"keys":[],"spiffe_sequence":1e300}'],
])("a document with %s is refused", (_name, document) => {
  expect(() => parse(document)).toThrowError(invalid);
});

test("any document is read or refused with the one code", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.record({ keys: fc.array(fc.anything()), spiffe_sequence: fc.anything() }).map((value) => JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? 0 : part)))), (text) => {
      try {
        parse(text);
      } catch (error) {
        expect(isAtollError(error, "ATOLL_BUNDLE_INVALID")).toBe(true);
      }
    }),
  );
});

test("a bundle is replaced only by a newer one of its own trust domain that has a root", () => {
  const current = { ...shop.bundle, sequence: 5 };
  const rotated = { ...current, sequence: 6, x509Authorities: shopNext.bundle.x509Authorities };
  expect(acceptBundle(undefined, current)).toEqual({ kind: "accepted", bundle: current });
  expect(acceptBundle(current, rotated)).toEqual({ kind: "accepted", bundle: rotated });
  expect(acceptBundle(current, { ...current })).toEqual({ kind: "unchanged", bundle: current });
  expect(acceptBundle(current, { ...rotated, sequence: 5 })).toEqual({ kind: "refused", reason: "sequenceReused" });
  expect(acceptBundle(current, { ...rotated, sequence: 4 })).toEqual({ kind: "refused", reason: "olderSequence" });
  expect(acceptBundle(current, { ...rotated, trustDomain: parseTrustDomainName("pay.example") })).toEqual({ kind: "refused", reason: "otherTrustDomain" });
  for (const before of [undefined, current]) expect(acceptBundle(before, { ...rotated, x509Authorities: [] })).toEqual({ kind: "refused", reason: "empty" });
});

test("over any order of arrivals the sequence never falls and the roots never run out", () => {
  const arrival = fc.record({ sequence: fc.nat(5), roots: fc.subarray([shop.root.certificateDer, shopNext.root.certificateDer]) });
  fc.assert(
    fc.property(fc.array(arrival), (arrivals) => {
      let current: TrustBundle | undefined;
      for (const { sequence, roots } of arrivals) {
        const decision = acceptBundle(current, { ...shop.bundle, sequence, x509Authorities: roots });
        if (decision.kind === "refused") continue;
        expect(decision.bundle.sequence).toBeGreaterThanOrEqual(current?.sequence ?? 0);
        expect(decision.bundle.x509Authorities.length).toBeGreaterThan(0);
        current = decision.bundle;
      }
    }),
  );
});
