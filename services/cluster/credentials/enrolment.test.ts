import { Server } from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { createTestOrchestrator } from "#federation/identity/attest/orchestrator-fixture.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { openGrpcListener, type GrpcListener } from "#federation/identity/grpc-listener.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { JoinGuard, joinGuardLimits } from "#federation/identity/join-guard.ts";
import { createJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { encodeAttestation } from "#federation/identity/join-proof.ts";
import { tokenVoucher } from "#federation/identity/join-voucher.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { ClusterId, TrustDomainName } from "#federation/model/names.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { signerService } from "#federation/wire/grpc-services.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import { openTestCatalog, type TestCatalog } from "../catalog-fixture.ts";
import type { Certify } from "./cluster-credentials.ts";
import { remoteCertify, signerHandlers } from "./enrolment.ts";
import { closedRoleError } from "./key-roles.ts";
import { TrustDomainSigner } from "./signer.ts";

const shop = "shop.example" as TrustDomainName;

describe("enrolment over gRPC", () => {
  const { signal } = new AbortController();
  const federation = createDomainFixture("demo.atoll", systemClock.nowMs());
  const attested = createTestOrchestrator([{ source: "pods", facts: { namespace: "atoll", serviceAccount: "plane-us" }, gives: { kind: "enrolment", cluster: "shop-us" as ClusterId }, cidrs: [] }]);
  let directory: string;
  let test: TestCatalog;
  let listener: GrpcListener;
  let server: Server;
  let signer: TrustDomainSigner;
  let openSigner: () => TrustDomainSigner;
  let members: Set<string>;
  let refusals: string[];
  let guardClock: VirtualClock;

  const newCsrs = () => {
    const signing = createKeyPair();
    return { csrs: { intermediate: createCsr(createKeyPair()), signing: createCsr(signing) }, signing };
  };
  const certifyBy = (token: string, cluster = "shop-us"): Certify =>
    remoteCertify({ cluster, openVoucher: () => Promise.resolve(tokenVoucher(token)), federationBundle: federation.bundle, clock: systemClock });
  async function tokenFor(purpose: { readonly kind: "enrolment"; readonly cluster: ClusterId } | { readonly kind: "gateway" }): Promise<string> {
    const token = createJoinToken([`127.0.0.1:${listener.port}`], "0".repeat(64));
    await test.catalog.joinTokens.create({ id: token.id, secret: Buffer.from(token.secret, "base64url"), purpose, lifeMs: 60_000 }, systemClock.nowMs(), signal);
    return encodeJoinToken(token);
  }
  const enrolmentOf = (cluster: string) => ({ kind: "enrolment", cluster: cluster as ClusterId }) as const;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "atoll-enrol-"));
    test = await openTestCatalog();
    signer = TrustDomainSigner.open(shop, directory, systemClock.nowMs());
    openSigner = () => signer;
    members = new Set(["shop-us"]);
    refusals = [];
    guardClock = new VirtualClock();
    const verifyChain = createChainVerifier({ federation: "demo.atoll", clock: systemClock, authorityOf: (name) => (name === shop ? signer.authorityCertificatePem : undefined) });
    server = new Server();
    const handlers = signerHandlers({
      signer: { current: () => openSigner() },
      catalog: test.catalog,
      attestation: createAttestation(attested.config, systemClock),
      federation: "demo.atoll",
      trustDomain: shop,
      verifyChain,
      isMember: (cluster) => members.has(cluster),
      guard: new JoinGuard(guardClock),
      onRefused: (code) => refusals.push(code),
      clock: systemClock,
      logger: silentLogger,
      signal,
    });
    server.addService(signerService, handlers);
    const material = new WatchedValue(createTlsMaterial(federation.issue("spiffe://demo.atoll/atoll/plane/cluster/shop-eu"), [federation.bundle]));
    listener = await openGrpcListener({ server, address: "127.0.0.1", port: 0, material, clients: "none", accept: () => false }, signal);
  });
  afterEach(async () => {
    server.forceShutdown();
    await listener[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  async function enrolled(): Promise<{ readonly token: string; readonly current: ObjectSigner }> {
    const token = await tokenFor(enrolmentOf("shop-us"));
    const { csrs, signing } = newCsrs();
    const { signingChain } = await certifyBy(token)(csrs, undefined, signal);
    return { token, current: { privateKey: signing.privateKey, chain: signingChain } };
  }

  it("certifies a cluster by a token of the signer, once", async () => {
    const { token } = await enrolled();
    await expect(certifyBy(token)(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    expect(refusals).toEqual(["ATOLL_JOIN_TOKEN_REFUSED"]);
  });

  it("uses no token up while its own keys are away, and says who can put that right", async () => {
    const token = await tokenFor(enrolmentOf("shop-us"));
    openSigner = () => {
      throw closedRoleError({ role: "signer", reason: "root.key is missing" });
    };
    await expect(certifyBy(token)(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE", message: expect.stringContaining("`atoll check` names its files") });
    expect(refusals).toEqual(["ATOLL_ROLE_CLOSED"]);
    openSigner = () => signer;
    expect((await certifyBy(token)(newCsrs().csrs, undefined, signal)).signingChain).toHaveLength(2);
  });

  it("answers alike whatever is wrong with a token, and uses up one that is shown for something else", async () => {
    const unknown = encodeJoinToken(createJoinToken([`127.0.0.1:${listener.port}`], "0".repeat(64)));
    const forOther = await tokenFor(enrolmentOf("shop-ap"));
    const forGateway = await tokenFor({ kind: "gateway" });
    const answers = new Set<string>();
    for (const token of [unknown, forOther, forGateway, forOther]) {
      await certifyBy(token)(newCsrs().csrs, undefined, signal).then(
        () => answers.add("certified"),
        (error: unknown) => answers.add(error instanceof Error ? `${error.message} ${String(error.cause)}` : ""),
      );
    }
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain("refused");
    await expect(certifyBy(forOther, "shop-ap")(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
  });

  it("renews by the key that is being renewed, for a cluster that is still a member, and by no other key", async () => {
    const { token, current } = await enrolled();
    const { csrs } = newCsrs();
    expect((await certifyBy(token)(csrs, current, signal)).signingChain).toHaveLength(2);
    const thief = { ...current, privateKey: createKeyPair().privateKey };
    await expect(certifyBy(token)(csrs, thief, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    await expect(certifyBy(token, "shop-ap")(csrs, current, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    members.clear();
    await expect(certifyBy(token)(csrs, current, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    expect(refusals).toEqual(["ATOLL_SIGNATURE_INVALID", "ATOLL_PEER_UNVERIFIED", "ATOLL_PEER_UNVERIFIED"]);
  });

  it("makes an address that is refused again and again wait, without using its next token up", async () => {
    const unknown = encodeJoinToken(createJoinToken([`127.0.0.1:${listener.port}`], "0".repeat(64)));
    for (let turn = 0; turn < joinGuardLimits.refusalsBurst; turn++) await certifyBy(unknown)(newCsrs().csrs, undefined, signal).catch(() => undefined);
    const good = await tokenFor(enrolmentOf("shop-us"));
    await expect(certifyBy(good)(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
    expect(refusals.at(-1)).toBe("ATOLL_JOIN_OVERLOADED");
    await guardClock.advance(1_100);
    expect((await certifyBy(good)(newCsrs().csrs, undefined, signal)).intermediateChain.length).toBeGreaterThan(0);
  });

  it("certifies the cluster that a rule gives for what is attested, for one key of its intermediate, and no other cluster", async () => {
    let document = attested.tokenOf({ namespace: "atoll", serviceAccount: "plane-us" });
    const certifyAs = (cluster: string): Certify =>
      remoteCertify({
        cluster,
        openVoucher: () => Promise.resolve({ addresses: [`127.0.0.1:${listener.port}`], rootSha256: "0".repeat(64), isLasting: true, prove: () => Promise.resolve(encodeAttestation("kubernetes", document)) }),
        federationBundle: federation.bundle,
        clock: systemClock,
      });
    const { csrs, signing } = newCsrs();
    const { signingChain } = await certifyAs("shop-us")(csrs, undefined, signal);
    // Renewed by the key that it has, without another look at the document.
    const current = { privateKey: signing.privateKey, chain: signingChain.map((der) => Buffer.from(der)) };
    document = "no.more.x";
    expect((await certifyAs("shop-us")(newCsrs().csrs, current, signal)).signingChain.length).toBeGreaterThan(0);
    document = attested.tokenOf({ namespace: "atoll", serviceAccount: "plane-us" });
    await expect(certifyAs("shop-eu")(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED", message: expect.stringContaining("no rule of its attestation") });
    await certifyAs("shop-us")(csrs, undefined, signal);
    await expect(certifyAs("shop-us")(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    expect(refusals).toEqual(["purpose", "replayed"].map((why) => `ATOLL_JOIN_TOKEN_REFUSED:${why}`));
  });

  it("does not take a server for the signer that is none of the federation's planes", async () => {
    const stranger = createDomainFixture("demo.atoll", systemClock.nowMs());
    const certify = remoteCertify({ cluster: "shop-us", openVoucher: () => Promise.resolve(tokenVoucher(encodeJoinToken(createJoinToken([`127.0.0.1:${listener.port}`], "0".repeat(64))))), federationBundle: stranger.bundle, clock: systemClock });
    await expect(certify(newCsrs().csrs, undefined, signal)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
    expect(refusals).toEqual([]);
  });
});
