import { Client, Server, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { createTestOrchestrator } from "#federation/identity/attest/orchestrator-fixture.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { openGrpcListener, type GrpcListener } from "#federation/identity/grpc-listener.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { JoinGuard } from "#federation/identity/join-guard.ts";
import { createJoinToken, decodeJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { encodeAttestation } from "#federation/identity/join-proof.ts";
import { createKeyPair, exportPrivateKeyPem, spkiSha256 } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly, acceptTrustDomain, createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { callUnary, identityService, joinService } from "#federation/wire/grpc-services.ts";
import type { IdentityResponse } from "#federation/wire/workload-messages.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import { openTestCatalog, type TestCatalog } from "../catalog-fixture.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import { workloadIssuer } from "./workload-issuer.ts";

const { self } = clusterState();
const planeId = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as SpiffeId;
const minuteMs = 60_000;
const refusal = { code: status.PERMISSION_DENIED, details: "refused" };

describe("issuing to workloads over gRPC", () => {
  const { signal } = new AbortController();
  const federation = createDomainFixture("demo.atoll", systemClock.nowMs());
  const shop = createDomainFixture("shop.example", systemClock.nowMs());
  const attested = createTestOrchestrator([{ source: "pods", facts: {}, gives: { kind: "workload" }, cidrs: [] }, { source: "pods", facts: { namespace: "edge", serviceAccount: "gateway" }, gives: { kind: "gateway" }, cidrs: ["192.0.2.0/24"] }]);
  let test: TestCatalog;
  let servers: Server[];
  let join: GrpcListener;
  let discovery: GrpcListener;
  let issued: string[];
  let refused: string[];

  async function listen(server: Server, clients: "none" | "required"): Promise<GrpcListener> {
    const anchors = clients === "required" ? shop.bundle : federation.bundle;
    const material = new WatchedValue(createTlsMaterial(federation.issue(planeId), [anchors]));
    return await openGrpcListener({ server, address: "127.0.0.1", port: 0, material, clients, accept: acceptTrustDomain(shop.name) }, signal);
  }
  async function call<T>(port: number, svid: X509Svid | undefined, act: (client: Client, options: { readonly deadlineMs: number; readonly nowMs: number; readonly signal: AbortSignal }) => Promise<T>): Promise<T> {
    const tls = { anchors: createAnchors([federation.bundle]), accept: acceptExactly([planeId]), ...(svid === undefined ? {} : { svid }) };
    const client = new Client(`127.0.0.1:${port}`, createGrpcCredentials(() => tls));
    try {
      return await act(client, { deadlineMs: 5_000, nowMs: systemClock.nowMs(), signal });
    } finally {
      client.close();
    }
  }
  async function tokenFor(purpose: JoinPurpose): Promise<string> {
    const token = createJoinToken([`127.0.0.1:${join.port}`], "0".repeat(64));
    await test.catalog.joinTokens.create({ id: token.id, secret: Buffer.from(token.secret, "base64url"), purpose, lifeMs: minuteMs }, systemClock.nowMs(), signal);
    return encodeJoinToken(token);
  }
  async function tokenForMany(purpose: JoinPurpose, more: { readonly usesMax?: number; readonly cidrs?: readonly string[] }): Promise<string> {
    const token = createJoinToken([`127.0.0.1:${join.port}`], "0".repeat(64), "many");
    const secret = Buffer.from(token.secret, "base64url");
    await test.catalog.provisioningTokens.create({ id: token.id, secret, purpose, usesMax: 5, lifeMs: minuteMs, cidrs: [], ...more }, systemClock.nowMs(), signal);
    return encodeJoinToken(token);
  }
  async function first(token: string, keys = createKeyPair()): Promise<{ readonly svid: X509Svid; readonly answer: IdentityResponse }> {
    const answer = await call(join.port, undefined, (client, options) => callUnary(client, joinService.issueFirst, { token, csr: createCsr(keys) }, options));
    return { svid: createX509Svid(answer.certificateChain, exportPrivateKeyPem(keys.privateKey)), answer };
  }
  async function renewed(svid: X509Svid): Promise<X509Svid> {
    const keys = createKeyPair();
    const answer = await call(discovery.port, svid, (client, options) => callUnary(client, identityService.renew, { csr: createCsr(keys) }, options));
    return createX509Svid(answer.certificateChain, exportPrivateKeyPem(keys.privateKey));
  }

  beforeEach(async () => {
    test = await openTestCatalog();
    issued = [];
    refused = [];
    const keys = new WatchedValue({
      issuer: shop.intermediateIssuer,
      signer: { privateKey: createKeyPair().privateKey, chain: [] },
      bundle: shop.bundle,
      authorityCertificatePem: "",
      earlierSvidsEndMs: 0,
      ownIntermediates: [],
      closed: [],
    });
    const issuing = workloadIssuer({
      self,
      keys,
      catalog: test.catalog,
      attestation: createAttestation(attested.config, systemClock),
      bundles: () => [federation.bundle, shop.bundle],
      discoveryAddress: () => `127.0.0.1:${discovery.port}`,
      svidMs: 10 * minuteMs,
      clock: systemClock,
      logger: silentLogger,
      guard: new JoinGuard(systemClock),
      onRefused: (code) => refused.push(code),
      onIssued: (kind) => issued.push(kind),
      signal,
    });
    const joinServer = new Server();
    joinServer.addService(joinService, { issueFirst: issuing.issueFirst });
    const discoveryServer = new Server();
    discoveryServer.addService(identityService, { renew: issuing.renew });
    servers = [joinServer, discoveryServer];
    join = await listen(joinServer, "none");
    discovery = await listen(discoveryServer, "required");
  });
  afterEach(async () => {
    for (const server of servers) server.forceShutdown();
    await join[Symbol.asyncDispose]();
    await discovery[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
  });

  it("gives a proxy the identity that its token names, the bundles and the way on, and the next one for it", async () => {
    const { svid, answer } = await first(await tokenFor({ kind: "workload", namespace: "web", serviceAccount: "edge" }));
    expect(svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/edge");
    expect(answer.bundles.map((bundle) => bundle.trustDomain)).toEqual(["demo.atoll", "shop.example"]);
    expect(answer.discoveryAddresses).toEqual([`127.0.0.1:${discovery.port}`]);
    const next = await renewed(svid);
    expect(next.spiffeId).toBe(svid.spiffeId);
    expect(issued).toEqual(["first", "renewed"]);
  });

  it("gives a gateway the identity of this cluster's gateways", async () => {
    expect((await first(await tokenFor({ kind: "gateway" }))).svid.spiffeId).toBe("spiffe://shop.example/atoll/gateway/shop-eu");
  });

  it("takes a token once, for workloads and gateways only, and tells nobody why not", async () => {
    const used = await tokenFor({ kind: "gateway" });
    await first(used);
    await expect(first(used)).rejects.toMatchObject(refusal);
    await expect(first(await tokenFor({ kind: "enrolment", cluster: self.cluster }))).rejects.toMatchObject(refusal);
    await expect(first("atoll1.damaged")).rejects.toMatchObject(refusal);
    expect(refused).toEqual(["ATOLL_JOIN_TOKEN_REFUSED", "ATOLL_JOIN_TOKEN_REFUSED", "ATOLL_JOIN_TOKEN_INVALID"]);
  });

  it("renews for workloads and this cluster's gateways, not for other identities of the trust domain", async () => {
    expect((await renewed(shop.issue("spiffe://shop.example/atoll/gateway/shop-eu"))).spiffeId).toBe("spiffe://shop.example/atoll/gateway/shop-eu");
    for (const identity of ["spiffe://shop.example/atoll/gateway/shop-us", "spiffe://shop.example/atoll/signing/shop-eu"]) {
      await expect(renewed(shop.issue(identity))).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    }
    expect(refused).toEqual(["ATOLL_PEER_UNVERIFIED", "ATOLL_PEER_UNVERIFIED"]);
  });

  it("lets as many keys in by one token as it has uses, the same key again, and tells only its metric why not", async () => {
    const token = await tokenForMany({ kind: "workload", namespace: "web", serviceAccount: "edge" }, { usesMax: 2 });
    const keys = createKeyPair();
    expect((await first(token, keys)).svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/edge");
    await first(token, keys);
    await first(token);
    await expect(first(token)).rejects.toMatchObject(refusal);
    await first(token, keys);
    await expect(first(await tokenForMany({ kind: "gateway" }, { cidrs: ["192.0.2.0/24"] }))).rejects.toMatchObject(refusal);
    await expect(first(await tokenForMany({ kind: "enrolment", cluster: self.cluster }, {}))).rejects.toMatchObject(refusal);
    const revoked = await tokenForMany({ kind: "gateway" }, { cidrs: ["127.0.0.0/8"] });
    await first(revoked);
    await test.catalog.provisioningTokens.revoke(decodeJoinToken(revoked).id, signal);
    await expect(first(revoked)).rejects.toMatchObject(refusal);
    expect(refused).toEqual(["exhausted", "address", "purpose", "revoked"].map((reason) => `ATOLL_JOIN_TOKEN_REFUSED:${reason}`));
    const listed = await test.catalog.provisioningTokens.get(decodeJoinToken(token).id, signal);
    expect(listed.uses.map((use) => use.address)).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(listed.uses[0]?.keySha256).toBe(spkiSha256(keys.publicKey));
  });

  it("gives a pod the identity of the account that its orchestrator attests, to one key for each document, and tells only its metric why not", async () => {
    const document = attested.tokenOf({ namespace: "web", serviceAccount: "edge" });
    const shown = encodeAttestation("kubernetes", document);
    const keys = createKeyPair();
    expect((await first(shown, keys)).svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/edge");
    expect((await first(shown, keys)).svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/edge");
    await expect(first(shown)).rejects.toMatchObject(refusal);
    await expect(first(`${shown}A`)).rejects.toMatchObject(refusal);
    await expect(first(encodeAttestation("google", document))).rejects.toMatchObject(refusal);
    await expect(first(encodeAttestation("kubernetes", attested.tokenOf({ namespace: "web", serviceAccount: "not.a.label" })))).rejects.toMatchObject(refusal);
    expect(refused).toEqual(["replayed", "document", "source", "purpose"].map((reason) => `ATOLL_JOIN_TOKEN_REFUSED:${reason}`));
    expect(await test.catalog.attestations.list(signal)).toMatchObject([{ source: "pods", subject: "web/edge in pod edge-1", keySha256: spkiSha256(keys.publicKey), address: "127.0.0.1" }]);
  });

  it("says that it cannot judge a document, rather than refuse it, while its own keys cannot be read", async () => {
    const document = encodeAttestation("kubernetes", attested.tokenOf({ namespace: "web", serviceAccount: "edge" }));
    attested.hideKeys();
    await expect(first(document)).rejects.toMatchObject({ code: status.UNAVAILABLE, details: "this plane cannot answer now" });
    attested.showKeys();
    expect((await first(document)).svid.spiffeId).toBe("spiffe://shop.example/ns/web/sa/edge");
  });

  it("says that it cannot answer now when the store is away", async () => {
    const token = await tokenFor({ kind: "gateway" });
    await test.store[Symbol.asyncDispose]();
    await expect(first(token)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});
