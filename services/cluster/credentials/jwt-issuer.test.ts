import { Client, Server, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import { openGrpcListener, type GrpcListener } from "#federation/identity/grpc-listener.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { jwtAuthorityOf, verifyJwtSvid, type JwtSigner } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly, createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { callUnary, identityService } from "#federation/wire/grpc-services.ts";
import type { JwtResponse } from "#federation/wire/workload-messages.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import { jwtIssuer, jwtSvidMs } from "./jwt-issuer.ts";
import { callerRate, callersMax, RateByCaller } from "./rate-by-caller.ts";

const { signal } = new AbortController();
const planeId = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as SpiffeId;
const catalogId = "spiffe://shop.example/ns/web/sa/catalog";

describe("issuing JWT-SVIDs over gRPC", () => {
  const federation = createDomainFixture("demo.atoll", systemClock.nowMs());
  const shop = createDomainFixture("shop.example", systemClock.nowMs());
  const pay = createDomainFixture("pay.example", systemClock.nowMs());
  const keys = createKeyPair();
  const authority = jwtAuthorityOf(keys.publicKey);
  let clock: VirtualClock;
  let signer: JwtSigner | undefined;
  let listener: GrpcListener;
  let server: Server;
  let refused: string[];
  let issued: number;
  const clients: Client[] = [];

  beforeEach(async () => {
    clock = new VirtualClock(systemClock.nowMs());
    signer = { keyId: authority.keyId, privateKey: keys.privateKey };
    refused = [];
    issued = 0;
    server = new Server();
    const issueJwt = jwtIssuer({ self: clusterState().self, keys: { get signer() { return signer; } }, clock, logger: silentLogger, onIssued: () => issued++, onRefused: (code) => refused.push(code) });
    server.addService(identityService, { renew: () => undefined, issueJwt });
    const material = new WatchedValue(createTlsMaterial(federation.issue(planeId), [shop.bundle, pay.bundle]));
    listener = await openGrpcListener({ server, address: "127.0.0.1", port: 0, material, clients: "required", accept: () => true }, signal);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    server.forceShutdown();
    await listener[Symbol.asyncDispose]();
  });

  function clientOf(svid: X509Svid): Client {
    const client = new Client(`127.0.0.1:${listener.port}`, createGrpcCredentials(() => ({ anchors: createAnchors([federation.bundle]), accept: acceptExactly([planeId]), svid })));
    clients.push(client);
    return client;
  }
  const ask = async (client: Client, audience: readonly string[]): Promise<JwtResponse> => await callUnary(client, identityService.issueJwt, { audience }, { deadlineMs: 10_000, nowMs: systemClock.nowMs(), signal });

  it("gives a workload a token of itself, for five minutes and whom it names", async () => {
    const { token, issuedAtMs, expiresAtMs } = await ask(clientOf(shop.issue(catalogId)), ["reports", "audit"]);
    expect(expiresAtMs - issuedAtMs).toBe(jwtSvidMs);
    const expected = { audience: "audit", bundleOf: () => ({ ...shop.bundle, jwtAuthorities: [authority] }), clock };
    expect(await verifyJwtSvid(token, expected)).toEqual({ spiffeId: catalogId, claims: { sub: catalogId, aud: ["reports", "audit"], iat: issuedAtMs / 1_000, exp: expiresAtMs / 1_000 } });
    expect(issued).toBe(1);
  });

  it.each([
    ["a workload of another trust domain", pay.issue("spiffe://pay.example/ns/core/sa/wallet")],
    ["a gateway", shop.issue("spiffe://shop.example/atoll/gateway/shop-eu")],
    ["whoever else has a certificate of the trust domain", shop.issue("spiffe://shop.example/atoll/signing/shop-eu")],
  ])("gives %s none", async (_, svid) => {
    await expect(ask(clientOf(svid), ["reports"])).rejects.toMatchObject({ code: status.PERMISSION_DENIED, details: "refused" });
    expect(refused).toEqual(["ATOLL_PEER_UNVERIFIED"]);
  });

  it("gives none for nobody, or for too many", async () => {
    const client = clientOf(shop.issue(catalogId));
    for (const audience of [[], [""], Array.from({ length: 17 }, String), ["x".repeat(4_097)]]) await expect(ask(client, audience)).rejects.toMatchObject({ code: status.INTERNAL });
    expect(issued).toBe(0);
  });

  it("has its caller come again while no key is published", async () => {
    signer = undefined;
    await expect(ask(clientOf(shop.issue(catalogId)), ["reports"])).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it("bounds what one workload asks for, and lets the others have theirs", async () => {
    const [greedy, modest] = [clientOf(shop.issue(catalogId)), clientOf(shop.issue("spiffe://shop.example/ns/web/sa/storefront"))];
    await Promise.all(Array.from({ length: callerRate.burst }, () => ask(greedy, ["reports"])));
    await expect(ask(greedy, ["reports"])).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await ask(modest, ["reports"]);
    await clock.advance(1_000);
    await ask(greedy, ["reports"]);
  });
});

it("the rates of callers are bounded in number: who was quiet for longest is forgotten", () => {
  const rates = new RateByCaller(new VirtualClock());
  const drain = (caller: string): void => {
    while (rates.enter(caller));
  };
  drain("first");
  drain("second");
  for (let n = 0; n < callersMax - 2; n++) rates.enter(`other ${n}`);
  expect(rates.enter("first")).toBe(false);
  rates.enter("one more");
  expect([rates.enter("first"), rates.enter("second")]).toEqual([false, true]);
});
