import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { jwtAuthorityOf, signJwtSvid } from "#federation/identity/jwt-svid.ts";
import { jwtLimits } from "#federation/identity/jwt-token.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { InboundPort, Snapshot } from "#federation/model/snapshot.ts";
import { parseSpiffeId } from "#federation/model/spiffe-id.ts";
import type { JwtAuthority, TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { JwtBundlesResponse } from "#federation/wire/spiffe-workload.ts";
import { emptySnapshot } from "../control/snapshot-builder.ts";
import { openWorkloadApi, type WorkloadApi } from "./workload-api.ts";
import { TestWorkload } from "./workload-client-fixture.ts";

// Real sockets and the gRPC client that applications have: everything here waits for states, never for times.

function trustDomain(name: string) {
  const keys = createKeyPair();
  const domain = createDomainFixture(name, systemClock.nowMs());
  const authority = jwtAuthorityOf(keys.publicKey);
  const sign = (path: string, audience: readonly string[], validityMs = 300_000) =>
    signJwtSvid({ keyId: authority.keyId, privateKey: keys.privateKey }, { spiffeId: parseSpiffeId(`spiffe://${name}${path}`), audience, validityMs, nowMs: systemClock.nowMs() });
  return { authority, sign, svid: (id: string) => domain.issue(id), bundle: { ...domain.bundle, jwtAuthorities: [authority] } satisfies TrustBundle };
}

const shop = trustDomain("shop.example");
const pay = trustDomain("pay.example");
const catalogId = "spiffe://shop.example/ns/web/sa/catalog";

let directory = "";
let api: WorkloadApi;
let svid: WatchedValue<X509Svid | undefined>;
let snapshot: WatchedValue<Snapshot>;
let application: TestWorkload;
let plane: (audience: readonly string[]) => Promise<ReturnType<typeof shop.sign>>;
const shopAnswers = async (audience: readonly string[]) => await Promise.resolve(shop.sign("/ns/web/sa/catalog", audience));

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "atoll-jwt-workload-"));
  svid = new WatchedValue<X509Svid | undefined>(shop.svid(catalogId));
  snapshot = new WatchedValue<Snapshot>({ ...emptySnapshot, bundles: bundles(shop.bundle) });
  plane = shopAnswers;
  const path = join(directory, "api.sock");
  api = await openWorkloadApi({ path, mode: "0600", svid, snapshot, isIdentityRefused: () => false, issueJwt: (audience) => plane(audience), clock: systemClock, random: systemRandom, logger: silentLogger });
  application = new TestWorkload(path);
});
afterEach(async () => {
  application[Symbol.dispose]();
  await api[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function bundles(...list: readonly TrustBundle[]): Snapshot["bundles"] {
  return new Map(list.map((bundle) => [bundle.trustDomain, bundle]));
}

/** A port of the workload that any workload of `callers` may call. */
function openTo(...callers: readonly string[]): Snapshot["inbound"] {
  const rules = callers.map((name) => ({ trustDomain: name as TrustDomainName, principals: ["*"] as const }));
  return new Map([["p80.catalog.web.svc.shop.example", { callers: rules } as unknown as InboundPort]]);
}

function change(next: Partial<Snapshot>): void {
  snapshot.set({ ...snapshot.current, ...next });
}

/** By trust domain, the ids of the keys that are told. */
function keyIds({ bundles: told }: JwtBundlesResponse): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(Object.entries(told).map(([id, document]) => [id, (JSON.parse(Buffer.from(document).toString()) as { readonly keys: readonly { readonly kid: string }[] }).keys.map(({ kid }) => kid)]));
}

const refusalOf = async (call: Promise<unknown>): Promise<unknown> => await call.then(() => "it was answered", (error: unknown) => error);
const metrics = async (): Promise<string> => {
  const registry = new Registry();
  api.addMetrics(registry);
  return await registry.metrics();
};

describe("an application", () => {
  it("is given a JWT-SVID of its own identity for the audience that it names, the same one again, and takes it for what it is", async () => {
    const token = await application.token(["reports", "audit"]);
    expect(await application.token(["reports", "audit"], catalogId)).toBe(token);
    expect(await application.validate("audit", token)).toMatchObject({ spiffeId: catalogId, claims: { fields: { sub: { stringValue: catalogId }, aud: { listValue: { values: [{ stringValue: "reports" }, { stringValue: "audit" }] } } } } });
    expect(await application.token(["audit"])).not.toBe(token);
    const text = await metrics();
    expect(text).toContain('atoll_workload_api_responses_total{method="FetchJWTSVID"} 3');
    expect(text).toContain('atoll_workload_api_responses_total{method="ValidateJWTSVID"} 1');
    expect(text).toContain('atoll_workload_api_tokens_total{what="kept"} 1');
  });

  it("is refused what no workload can ask for, in the words of the standard", async () => {
    const asked: (readonly string[])[] = [];
    plane = async (audience) => {
      asked.push(audience);
      return await shopAnswers(audience);
    };
    for (const audience of [[], [""], ["a", ""], Array.from({ length: 17 }, String), ["x".repeat(4_097)]]) expect(await refusalOf(application.token(audience))).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await refusalOf(application.token(["a"], "catalog"))).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await refusalOf(application.token(["a"], "spiffe://shop.example/ns/web/sa/admin"))).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(asked, "the plane was not troubled").toEqual([]);
    for (const [audience, token] of [["", "x"], ["a", ""]] as const) expect(await refusalOf(application.validate(audience, token))).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await refusalOf(application.validate("a", "x".repeat(40_000)))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  it("hears what is wrong with a token, and is told nobody by it", async () => {
    const good = shop.sign("/ns/web/sa/storefront", ["catalog"]).token;
    expect(await application.validate("catalog", good)).toMatchObject({ spiffeId: "spiffe://shop.example/ns/web/sa/storefront" });
    const ended = shop.sign("/ns/web/sa/storefront", ["catalog"], -1_000 * jwtLimits.leewaySeconds - 2_000).token;
    for (const [token, audience, why] of [[good, "other", /claim aud/], [ended, "catalog", /expired/], [`${good.slice(0, -4)}AAAA`, "catalog", /signature|JSON Web Token/], [pay.sign("/ns/core/sa/wallet", ["catalog"]).token, "catalog", /no bundle/]] as const) {
      expect(await refusalOf(application.validate(audience, token))).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringMatching(why) as unknown });
    }
    expect(await metrics()).toContain('atoll_workload_api_refused_total{reason="token"} 4');
  });

  it("believes tokens of a foreign trust domain while it has to do with that, and by that domain's keys alone", async () => {
    change({ bundles: bundles(shop.bundle, pay.bundle), inbound: openTo("pay.example") });
    const wallet = pay.sign("/ns/core/sa/wallet", ["catalog"]).token;
    expect(await application.validate("catalog", wallet)).toMatchObject({ spiffeId: "spiffe://pay.example/ns/core/sa/wallet" });
    change({ bundles: bundles({ ...shop.bundle, jwtAuthorities: [shop.authority, pay.authority] }, { ...pay.bundle, jwtAuthorities: [shop.authority] }) });
    expect(await refusalOf(application.validate("catalog", wallet)), "its key is the other domain's now").toMatchObject({ code: status.INVALID_ARGUMENT });
    change({ bundles: bundles(shop.bundle, pay.bundle), inbound: openTo("shop.example") });
    expect(await refusalOf(application.validate("catalog", wallet)), "there is no relationship any more").toMatchObject({ code: status.INVALID_ARGUMENT });
    change({ bundles: bundles(shop.bundle, { ...pay.bundle, isFederated: true }) });
    expect(await application.validate("catalog", wallet), "it is federated").toMatchObject({ spiffeId: "spiffe://pay.example/ns/core/sa/wallet" });
  });

  it("is told the JWT authorities of the domains that it has to do with, anew when they change, and nothing of roots then", async () => {
    const x509 = application.svids();
    await x509.atLeast(1);
    const told = application.jwtBundles();
    expect(keyIds(await told.atLeast(1))).toEqual({ "spiffe://shop.example": [shop.authority.keyId] });
    const next: JwtAuthority = jwtAuthorityOf(createKeyPair().publicKey);
    change({ bundles: bundles({ ...shop.bundle, jwtAuthorities: [shop.authority, next] }, pay.bundle) });
    expect(keyIds(await told.atLeast(2))).toEqual({ "spiffe://shop.example": [shop.authority.keyId, next.keyId] });
    change({ inbound: openTo("pay.example") });
    expect(keyIds(await told.atLeast(3))).toEqual({ "spiffe://shop.example": [shop.authority.keyId, next.keyId], "spiffe://pay.example": [pay.authority.keyId] });
    const { jwtAuthorities: _, ...older } = shop.bundle;
    change({ bundles: bundles(older), inbound: new Map() });
    expect(keyIds(await told.atLeast(4)), "as beside a plane of the version before").toEqual({ "spiffe://shop.example": [] });
    // The foreign roots came, and went; the keys were no news to this stream.
    await x509.atLeast(3);
    expect(x509.messages.length).toBe(3);
  });

  it("is told to come again while the plane gives no token, and that it has none when it is refused one", async () => {
    plane = async () => await Promise.reject(new AtollError("ATOLL_PEER_UNAVAILABLE", "away"));
    expect(await refusalOf(application.token(["a"]))).toMatchObject({ code: status.UNAVAILABLE });
    const refusing = (code: status) => async () => await Promise.reject(Object.assign(new Error("no"), { code }));
    for (const [code, heard] of [[status.UNIMPLEMENTED, status.UNAVAILABLE], [status.RESOURCE_EXHAUSTED, status.UNAVAILABLE], [status.PERMISSION_DENIED, status.PERMISSION_DENIED]] as const) {
      plane = refusing(code);
      await expect.poll(() => refusalOf(application.token(["a"])), { timeout: 20_000 }).toMatchObject({ code: heard });
    }
    svid.set(undefined);
    expect(await refusalOf(application.token(["a"]))).toMatchObject({ code: status.UNAVAILABLE });
    expect(await refusalOf(application.validate("a", "b"))).toMatchObject({ code: status.UNAVAILABLE });
  });

  it("hears of the end of its sidecar while it waits for a token", async () => {
    const asked = Promise.withResolvers<void>();
    plane = async () => {
      asked.resolve();
      return await ending.promise;
    };
    const ending = Promise.withResolvers<never>();
    const waiting = refusalOf(application.token(["a"]));
    await asked.promise;
    const ended = api[Symbol.asyncDispose]();
    ending.reject(new AtollError("ATOLL_ABORTED", "the sidecar ends"));
    expect(await waiting).toMatchObject({ code: status.UNAVAILABLE, details: "the sidecar ends" });
    await ended;
  });
});
