import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createTestIssuer } from "./jwt-fixture.ts";
import { jwtLimits } from "./jwt-token.ts";
import { createJwtVerifier } from "./jwt-verify.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-jwt-"));
const keysFile = join(directory, "keys.json");
const issuer = "https://ci.example";
const audience = "atoll://demo.atoll";
const now = Math.floor(systemClock.nowMs() / 1_000);
const good = { iss: issuer, aud: audience, sub: "deploy", iat: now - 10, exp: now + 600 };
const es = createTestIssuer("ES256");

beforeEach(() => writeFileSync(keysFile, es.jwks));
afterAll(() => rmSync(directory, { recursive: true }));

const verify = (): ReturnType<typeof createJwtVerifier> => createJwtVerifier({ issuer, audience, keysFile }, systemClock);

async function refusalOf(token: string): Promise<string> {
  const error: unknown = await verify()(token).then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof AtollError)) throw new Error("it was taken", { cause: error });
  expect(error.message).not.toContain(token.slice(0, 40));
  return `${error.code}: ${error.message}`;
}

describe("createJwtVerifier", () => {
  it("takes what the issuer signed with ES256 or RS256 for this audience, and answers its claims", async () => {
    expect(await verify()(es.sign({ ...good, repository: "shop/web" }))).toMatchObject({ sub: "deploy", repository: "shop/web" });
    expect(await verify()(es.sign({ ...good, aud: ["other", audience] }))).toMatchObject({ sub: "deploy" });
    const rs = createTestIssuer("RS256");
    writeFileSync(keysFile, rs.jwks);
    expect(await verify()(rs.sign(good))).toMatchObject({ sub: "deploy" });
  });

  it.each([
    ["another issuer", { iss: "https://evil.example" }, /claim iss/],
    ["another audience", { aud: "atoll://other" }, /claim aud/],
    ["no audience", { aud: undefined }, /claim aud/],
    ["an end that is over", { iat: now - 900, exp: now - 300 }, /expired/],
    ["no end", { exp: undefined }, /claim exp/],
    ["a beginning that is to come", { nbf: now + 300 }, /claim nbf/],
    ["an issue that is to come", { iat: now + 300 }, /claim iat/],
    ["a life of weeks", { iat: now - 2 * jwtLimits.lifeSecondsMax, exp: now + 600 }, /expired|claim iat/],
    ["no time of issue", { iat: undefined }, /claim iat/],
    ["no subject", { sub: undefined }, /claim sub/],
    ["an empty subject", { sub: "" }, /no subject/],
  ])("refuses %s", async (_, change, expected) => {
    expect(await refusalOf(es.sign({ ...good, ...change }))).toMatch(expected);
  });

  it("takes clocks that differ by less than the leeway", async () => {
    expect(await verify()(es.sign({ ...good, iat: now - 100, exp: now - 30 }))).toMatchObject({ sub: "deploy" });
  });

  it("refuses a signature of somebody else, under the same key's name too", async () => {
    expect(await refusalOf(createTestIssuer("ES256").sign(good))).toMatch(/signature/);
    expect(await refusalOf(createTestIssuer("ES256", "other").sign(good))).toMatch(/none that it names/);
  });

  it("refuses every algorithm by which a public key would be a secret, or nothing one", async () => {
    expect(await refusalOf(es.signConfused(good))).toMatch(/algorithm/);
    const [, claims = ""] = es.sign(good).split(".");
    const none = Buffer.from(JSON.stringify({ alg: "none", typ: "JWT" })).toString("base64url");
    expect(await refusalOf(`${none}.${claims}.`)).toMatch(/^ATOLL_TOKEN_REFUSED/);
    expect(await refusalOf(es.sign(good, { alg: "RS256" }))).toMatch(/^ATOLL_TOKEN_REFUSED/);
  });

  it("refuses a changed claim, what is no token, and what is too long", async () => {
    const [header = "", , signature = ""] = es.sign(good).split(".");
    const changed = Buffer.from(JSON.stringify({ ...good, sub: "root" })).toString("base64url");
    expect(await refusalOf(`${header}.${changed}.${signature}`)).toMatch(/signature/);
    expect(await refusalOf("hunter2")).toMatch(/no signed JSON Web Token/);
    expect(await refusalOf(es.sign({ ...good, pad: "x".repeat(jwtLimits.tokenBytes) }))).toMatch(/longer than/);
  });

  it("reads the keys again when their file is another, and says when they cannot be read", async () => {
    const check = verify();
    await check(es.sign(good));
    const next = createTestIssuer("ES256", "a-longer-name-of-a-key");
    writeFileSync(keysFile, next.jwks);
    expect(await check(next.sign(good))).toMatchObject({ sub: "deploy" });
    await expect(check(es.sign(good))).rejects.toThrow(/none that it names/);
    writeFileSync(keysFile, "no keys");
    await expect(check(next.sign(good))).rejects.toMatchObject({ code: "ATOLL_CONFIG_INVALID" });
  });
});
