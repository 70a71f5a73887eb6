import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { joinAnswerSchema, joinPath } from "#federation/admin-api/join-contract.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { createTestOrchestrator } from "#federation/identity/attest/orchestrator-fixture.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { JoinGuard, joinGuardLimits } from "#federation/identity/join-guard.ts";
import { createJoinToken } from "#federation/identity/join-token.ts";
import { encodeAttestation } from "#federation/identity/join-proof.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import { fetchMeshJson } from "#federation/identity/mesh-request.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { acceptExactly, createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { isClusterPlane } from "../admin/global-operations.ts";
import { FederationKeys, initFederation } from "../federation-keys.ts";
import { renewIssuing } from "../issuing-renewal.ts";
import { joinCluster, renewCluster, type JoinClusterOptions } from "./join-cluster.ts";
import { openJoinServer, type JoinServer } from "./join-server.ts";

const planeId = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as SpiffeId;
const cluster: Cluster = {
  apiVersion,
  kind: "Cluster",
  metadata: { name: "shop-eu" },
  spec: {
    region: "eu-west" as RegionId,
    trustDomain: "shop.example" as TrustDomainName,
    exportNamespaces: ["web"],
    gateways: [],
    planeAddress: { host: "plane.shop.example", discoveryPort: 1, joinPort: 2 },
  },
};

describe("joining over HTTPS", () => {
  const { signal } = new AbortController();
  const attested = createTestOrchestrator([{ source: "pods", facts: { namespace: "atoll", serviceAccount: "plane" }, gives: { kind: "cluster", cluster: "shop-eu" as ClusterId }, cidrs: [] }]);
  let directory: string;
  let keys: FederationKeys;
  let store: SqliteStore;
  let catalog: Catalog;
  let server: JoinServer;
  let joining: JoinClusterOptions;
  const clock = systemClock;

  async function secretFor(purpose: Parameters<Catalog["joinTokens"]["create"]>[0]["purpose"]) {
    const token = createJoinToken(["127.0.0.1:1"], "0".repeat(64));
    await catalog.joinTokens.create({ id: token.id, secret: Buffer.from(token.secret, "base64url"), purpose, lifeMs: 60_000 }, clock.nowMs(), signal);
    return { tokenId: token.id, secret: token.secret };
  }
  const forCluster = () => secretFor({ kind: "cluster", cluster: "shop-eu" as ClusterId });
  const ask = async (json: unknown) => {
    const tls = { anchors: createAnchors([keys.bundle]), accept: acceptExactly(["spiffe://demo.atoll/atoll/plane/global" as SpiffeId]) };
    return await fetchMeshJson({ url: `https://127.0.0.1:${server.port}${joinPath}`, json, tls }, signal);
  };
  const csr = (): string => createCsr(createKeyPair()).toString("base64");

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "atoll-join-"));
    initFederation(directory, "demo.atoll", clock.nowMs());
    keys = FederationKeys.load(directory);
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
    await catalog.resources("Cluster").apply(cluster, {}, signal);
    joining = { keys, catalog, attestation: createAttestation(attested.config, clock), clock, logger: silentLogger, apiAddresses: () => ["127.0.0.1:7400"] };
    const material = new WatchedValue(createTlsMaterial(keys.issuePlane("127.0.0.1", clock.nowMs()), [keys.bundle]));
    server = await openJoinServer(
      { address: "127.0.0.1", port: 0, material, rootPem: keys.rootPem, guard: new JoinGuard(new VirtualClock()), join: (request, inner) => joinCluster(joining, request, inner), onError() {} },
      signal,
    );
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  it("certifies the cluster that the token names, by its resource, and tells where to renew", async () => {
    const pair = createKeyPair();
    const { status, json } = await ask({ ...(await forCluster()), csr: createCsr(pair).toString("base64") });
    expect(status).toBe(200);
    const answer = joinAnswerSchema.parse(json);
    expect(answer).toMatchObject({ cluster: "shop-eu", region: "eu-west", trustDomain: "shop.example", apiAddresses: ["127.0.0.1:7400"] });
    expect(createX509Svid(parseChainPem(answer.certificateChainPem), exportPrivateKeyPem(pair.privateKey)).spiffeId).toBe(planeId);
  });

  it("certifies the cluster that a rule gives for what is attested, and answers whatever does not fit as it answers for tokens", async () => {
    const document = encodeAttestation("kubernetes", attested.tokenOf({ namespace: "atoll", serviceAccount: "plane" }));
    const pair = createKeyPair();
    const { status, json } = await ask({ attestation: document, csr: createCsr(pair).toString("base64") });
    expect(status).toBe(200);
    expect(createX509Svid(parseChainPem(joinAnswerSchema.parse(json).certificateChainPem), exportPrivateKeyPem(pair.privateKey)).spiffeId).toBe(planeId);
    const other = attested.tokenOf({ namespace: "web", serviceAccount: "plane" });
    const refusals = [await ask({ attestation: document, csr: csr() }), await ask({ attestation: encodeAttestation("kubernetes", other), csr: csr() }), await ask({ attestation: "attested1.nobody.x", csr: csr() }), await ask({ tokenId: "unknown", secret: "", csr: csr() })];
    expect(new Set(refusals.map((answer) => JSON.stringify(answer)))).toHaveLength(1);
    expect(refusals[0]?.status).toBe(403);
    expect((await ask({ attestation: document, ...(await forCluster()), csr: csr() })).status).toBe(400);
  });

  it("answers alike whatever is wrong with a token", async () => {
    const used = await forCluster();
    await ask({ ...used, csr: csr() });
    const bodies = [
      used,
      { ...(await forCluster()), secret: used.secret },
      await secretFor({ kind: "cluster", cluster: "not-there" as ClusterId }),
      await secretFor({ kind: "gateway" }),
      { tokenId: "../leader", secret: "" },
    ];
    const answers = await Promise.all(bodies.map((body) => ask({ ...body, csr: csr() })));
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toHaveLength(1);
    expect(answers[0]?.status).toBe(403);
  });

  it("makes an address that is refused again and again wait, and does not use its token up meanwhile", async () => {
    const good = await forCluster();
    for (let turn = 0; turn < joinGuardLimits.refusalsBurst; turn++) expect((await ask({ tokenId: "unknown", secret: "", csr: csr() })).status).toBe(403);
    expect((await ask({ ...good, csr: csr() })).status).toBe(429);
    expect(await catalog.joinTokens.consume(good.tokenId, Buffer.from(good.secret, "base64url"), clock.nowMs(), signal)).toEqual({ kind: "cluster", cluster: "shop-eu" });
  }, 20_000);

  it("takes a token for many until its uses are gone, from its networks only, and answers as for any other token", async () => {
    const token = createJoinToken(["127.0.0.1:1"], "0".repeat(64), "many");
    const elsewhere = createJoinToken(["127.0.0.1:1"], "0".repeat(64), "many");
    const request = { purpose: { kind: "cluster", cluster: "shop-eu" as ClusterId }, usesMax: 2, lifeMs: 60_000 } as const;
    const secretOf = ({ secret }: { readonly secret: string }): Buffer => Buffer.from(secret, "base64url");
    await catalog.provisioningTokens.create({ ...request, id: token.id, secret: secretOf(token), cidrs: ["127.0.0.0/8"] }, clock.nowMs(), signal);
    await catalog.provisioningTokens.create({ ...request, id: elsewhere.id, secret: secretOf(elsewhere), cidrs: ["192.0.2.0/24"] }, clock.nowMs(), signal);
    const by = async ({ id, secret }: { readonly id: string; readonly secret: string }, request64 = csr()) => await ask({ tokenId: id, secret, csr: request64 });
    const firstCsr = csr();
    expect([(await by(token, firstCsr)).status, (await by(token, firstCsr)).status, (await by(token)).status]).toEqual([200, 200, 200]);
    const refusals = [await by(token), await by(elsewhere), await ask({ tokenId: "unknown", secret: "", csr: csr() })];
    expect(new Set(refusals.map((answer) => JSON.stringify(answer)))).toHaveLength(1);
    expect(refusals[0]?.status).toBe(403);
    expect((await by(token, firstCsr)).status).toBe(200);
  });

  it("renews for the plane of a registered cluster and for nobody else", async () => {
    const pair = createKeyPair();
    const request = { csr: createCsr(pair).toString("base64"), caller: planeId };
    const renewed = await renewCluster(joining, request, signal);
    expect(createX509Svid(parseChainPem(renewed.certificateChainPem), exportPrivateKeyPem(pair.privateKey)).spiffeId).toBe(planeId);
    await catalog.resources("Cluster").remove("shop-eu", {}, signal);
    await expect(renewCluster(joining, request, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    const mayRenew = (id: string): boolean => isClusterPlane({ kind: "certificate", spiffeId: id as SpiffeId });
    expect([planeId, "spiffe://demo.atoll/atoll/admin/local", "spiffe://demo.atoll/atoll/plane/global", "spiffe://demo.atoll/atoll/engine/nats"].map(mayRenew)).toEqual([true, false, false, false]);
  });

  it("certifies whoever joins or renews by the issuing certificate that lies there at that moment, while it runs", async () => {
    const chainOf = ({ certificateChainPem }: { readonly certificateChainPem: string }) => parseChainPem(certificateChainPem);
    const join = async () => chainOf(joinAnswerSchema.parse((await ask({ ...(await forCluster()), csr: csr() })).json));
    const [, before] = await join();
    renewIssuing({ dataDir: directory, isForced: true, nowMs: clock.nowMs() });
    const [, after] = await join();
    expect(after).not.toEqual(before);
    expect(chainOf(await renewCluster(joining, { csr: csr(), caller: planeId }, signal))[1]).toEqual(after);
    // The server itself still shows a chain by the one before, and was believed under the root both times.
    expect(keys.authoritiesAt(clock.nowMs()).find(({ role }) => role === "issuing")?.notAfterMs).toBe(new X509Certificate(after ?? "").validToDate.getTime());
  });
});
