import { createHmac, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { signP256 } from "#federation/runtime/p256-signature.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { jwtLimits } from "./jwt-token.ts";
import { jwtAuthorityOf, signJwtSvid, verifyJwtSvid, type JwtSvidExpectation } from "./jwt-svid.ts";
import { createKeyPair, parsePublicKey } from "./key-pair.ts";

const shopKeys = createKeyPair();
const payKeys = createKeyPair();
const shopKey = jwtAuthorityOf(shopKeys.publicKey);
const payKey = jwtAuthorityOf(payKeys.publicKey);
const signer = { keyId: shopKey.keyId, privateKey: shopKeys.privateKey };
const spiffeId = parseSpiffeId("spiffe://shop.example/ns/web/sa/catalog");
const audience = "reports.example";
const clock = new VirtualClock();
const now = Math.floor(clock.nowMs() / 1_000);
const good = { sub: spiffeId, aud: [audience], iat: now, exp: now + 300 };
const header = { alg: "ES256", kid: shopKey.keyId, typ: "JWT" };

function bundle(name: string, ...jwtAuthorities: NonNullable<TrustBundle["jwtAuthorities"]>): TrustBundle {
  return { trustDomain: parseTrustDomainName(name), sequence: 1, refreshHintSeconds: 300, x509Authorities: [], jwtAuthorities };
}

const bundles = new Map([bundle("shop.example", shopKey), bundle("pay.example", payKey)].map((one) => [one.trustDomain, one]));
const expected: JwtSvidExpectation = { audience, bundleOf: (trustDomain) => bundles.get(trustDomain), clock };

/** A token by hand, so that wrong ones can be made too. */
function token(head: object, claims: object, privateKey = shopKeys.privateKey): string {
  const input = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${input}.${Buffer.from(signP256(Buffer.from(input), privateKey)).toString("base64url")}`;
}

async function refusalOf(text: string, than: Partial<JwtSvidExpectation> = {}): Promise<string> {
  const error: unknown = await verifyJwtSvid(text, { ...expected, ...than }).then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof AtollError)) throw new Error("it was taken", { cause: error });
  expect(error.code).toBe("ATOLL_TOKEN_REFUSED");
  return error.message;
}

describe("a JWT-SVID", () => {
  it("has the header and the claims of the standard and proves its subject to its audience, give or take the leeway", async () => {
    const svid = signJwtSvid(signer, { spiffeId, audience: [audience, "other.example"], validityMs: 300_000, nowMs: clock.nowMs() });
    const parts = svid.token.split(".").slice(0, 2).map((part): unknown => JSON.parse(Buffer.from(part, "base64url").toString()));
    expect(parts).toEqual([header, { ...good, aud: [audience, "other.example"] }]);
    expect([svid.issuedAtMs, svid.expiresAtMs]).toEqual([now * 1_000, (now + 300) * 1_000]);
    expect(await verifyJwtSvid(svid.token, expected)).toEqual({ spiffeId, claims: parts[1] });
    expect(await verifyJwtSvid(svid.token, { ...expected, audience: "other.example" })).toMatchObject({ spiffeId });
    const leeway = jwtLimits.leewaySeconds;
    expect(await verifyJwtSvid(token(header, { ...good, exp: now - leeway + 1, nbf: now + leeway - 1 }), expected)).toMatchObject({ spiffeId });
  });

  it("may leave out its type, or call it JOSE, and name its one audience as text", async () => {
    for (const head of [{ alg: "ES256", kid: shopKey.keyId }, { ...header, typ: "JOSE" }]) expect(await verifyJwtSvid(token(head, { ...good, aud: audience }), expected)).toMatchObject({ spiffeId });
  });

  it.each([
    ["no subject", { sub: undefined }, /SPIFFE ID/],
    ["a subject that is no SPIFFE ID", { sub: "catalog" }, /SPIFFE ID/],
    ["a trust domain as its subject", { sub: "spiffe://shop.example" }, /SPIFFE ID of a workload/],
    ["a subject in other letters", { sub: spiffeId.toUpperCase() }, /SPIFFE ID/],
    ["a subject of a trust domain that is not known", { sub: "spiffe://ship.example/ns/a/sa/b" }, /no bundle/],
    ["a subject of a trust domain that did not sign it", { sub: "spiffe://pay.example/ns/core/sa/wallet" }, /no authority/],
    ["no audience", { aud: undefined }, /claim aud/],
    ["an empty list of audiences", { aud: [] }, /claim aud/],
    ["another audience", { aud: ["Reports.example", "reports.example."] }, /claim aud/],
    ["no end", { exp: undefined }, /claim exp/],
    ["an end that is no time", { exp: String(now + 300) }, /claim exp/],
    ["an end that is over", { exp: now - jwtLimits.leewaySeconds }, /expired/],
    ["a beginning that is to come", { nbf: now + jwtLimits.leewaySeconds + 1 }, /claim nbf/],
  ])("is refused with %s", async (_, change, message) => {
    expect(await refusalOf(token(header, { ...good, ...change }))).toMatch(message);
  });

  it.each([
    ["no algorithm", { alg: undefined }, /algorithm/],
    ["none as its algorithm", { alg: "none" }, /algorithm/],
    ["an algorithm of the standard that is not ours", { alg: "RS256" }, /algorithm/],
    ["no key id", { kid: undefined }, /names no key/],
    ["an empty key id", { kid: "" }, /names no key/],
    ["a key id that is not known", { kid: payKey.keyId }, /no authority/],
    ["another type", { typ: "at+jwt" }, /type/],
    ["a key of its own", { jwk: { kty: "EC" } }, /says more/],
    ["a place to fetch a key", { jku: "https://evil.example/keys" }, /says more/],
    ["extensions that count", { crit: ["b64"], b64: false }, /says more/],
  ])("is refused whose header has %s", async (_, change, message) => {
    expect(await refusalOf(token({ ...header, ...change }, good))).toMatch(message);
  });

  it("is refused by another's signature under the right key id, and by a public key as a secret", async () => {
    expect(await refusalOf(token(header, good, payKeys.privateKey))).toMatch(/signature/);
    const input = [{ ...header, alg: "HS256" }, good].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const secret = parsePublicKey(shopKey.publicKey).export({ type: "spki", format: "pem" });
    expect(await refusalOf(`${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`)).toMatch(/algorithm/);
    const der = sign("sha256", Buffer.from(token(header, good).split(".").slice(0, 2).join(".")), shopKeys.privateKey);
    // As OpenSSL writes it.
    await refusalOf(`${token(header, good).split(".").slice(0, 2).join(".")}.${der.toString("base64url")}`);
  });

  it("is refused where nobody says for whom it should be, and where no key of its trust domain is known", async () => {
    expect(await refusalOf(token(header, { ...good, aud: [""] }), { audience: "" })).toMatch(/no audience/);
    expect(await refusalOf(token(header, good), { bundleOf: () => bundle("shop.example") })).toMatch(/no authority/);
  });

  it("is refused with any byte of it changed, left out or doubled, and cut off anywhere", async () => {
    const text = token(header, good);
    await verifyJwtSvid(text, expected);
    for (let at = 0; at < text.length; at++) {
      await refusalOf(text.slice(0, at));
      await refusalOf(text.slice(0, at) + text.slice(at + 1));
      for (let bit = 0; bit < 8; bit++) await refusalOf(text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1));
    }
    for (const more of [".", "=", ".e30", " ", "\n"]) await refusalOf(text + more);
    for (const none of ["", ".", "..", "e30.e30.", "e30.e30.e30", "W10.W10.AAAA", "x".repeat(jwtLimits.tokenBytes + 1)]) await refusalOf(none);
  });
});
