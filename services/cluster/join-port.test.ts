import { Client, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { createKeyPair, exportPrivateKeyPem, parseKeyPair } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import { certificatePem, parseChainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly } from "#federation/identity/tls-options.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { callUnary, joinService } from "#federation/wire/grpc-services.ts";
import { signBytes } from "#federation/wire/signed-object.ts";
import { keyRenewalContext } from "#federation/wire/workload-messages.ts";
import { clusterState } from "./cluster-state-fixture.ts";
import { clusterConfigField } from "./config.ts";
import { JoinPort } from "./join-port.ts";
import { createClusterMetrics, type ClusterMetrics } from "./metrics.ts";

const { self } = clusterState();
const planeId = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as SpiffeId;
const catalogId = "spiffe://shop.example/ns/web/sa/catalog";
const hourMs = 3_600_000;
const refusal = { code: status.PERMISSION_DENIED, details: "refused" };

describe("the join port of a plane that leads nothing", () => {
  const { signal } = new AbortController();
  let clock: VirtualClock;
  let federation: ReturnType<typeof createDomainFixture>;
  let shop: ReturnType<typeof createDomainFixture>;
  let metrics: ClusterMetrics;
  let port: JoinPort;

  async function open(more: object = {}): Promise<JoinPort> {
    const config = readConfig(
      JSON.stringify({ cluster: "shop-eu", dataDir: "unused", listen: { joinPort: 0 }, bus: { kind: "socket", path: "unused" }, signer: { kind: "own", trustDomain: "shop.example" }, lapsedSvidSeconds: 7_200, ...more }),
      "test",
      clusterConfigField,
    );
    const federationRootPem = certificatePem(federation.bundle.x509Authorities[0] ?? new Uint8Array());
    const planeSvid = new WatchedValue(federation.issue(planeId));
    const keys = new WatchedValue({ issuer: shop.intermediateIssuer, signer: { privateKey: createKeyPair().privateKey, chain: [] }, bundle: shop.bundle, authorityCertificatePem: "", earlierSvidsEndMs: 0, ownIntermediates: [], closed: [] });
    const membership = { facts: { ...self, federation: federation.name, federationRootPem, federationAuthorityPem: "", apiAddresses: [] }, svid: planeSvid.current, federationBundle: federation.bundle };
    return await JoinPort.open({ config, membership, planeSvid, keys, metrics, clock, logger: silentLogger }, signal);
  }
  async function renew(svid: X509Svid, by: X509Svid = svid): Promise<X509Svid> {
    const keys = createKeyPair();
    const csr = createCsr(keys);
    const proof = signBytes(keyRenewalContext, csr, parseKeyPair(by.privateKeyPem).privateKey);
    const answer = await call((client, options) => callUnary(client, joinService.renewByKey, { certificateChain: parseChainPem(svid.certificateChainPem), csr, proof }, options));
    expect(answer.bundles.map(({ trustDomain }) => trustDomain)).toEqual([federation.name, shop.name]);
    return createX509Svid(answer.certificateChain, exportPrivateKeyPem(keys.privateKey));
  }
  async function call<T>(act: (client: Client, options: { readonly deadlineMs: number; readonly nowMs: number; readonly signal: AbortSignal }) => Promise<T>): Promise<T> {
    const tls = { anchors: createAnchors([federation.bundle]), accept: acceptExactly([planeId]) };
    const client = new Client(`127.0.0.1:${port.port}`, createGrpcCredentials(() => tls));
    try {
      return await act(client, { deadlineMs: 30_000, nowMs: systemClock.nowMs(), signal });
    } finally {
      client.close();
    }
  }
  const refusals = async (code: string): Promise<number> => (await metrics.joinRefused.get()).values.find(({ labels }) => labels.reason === code)?.value ?? 0;

  beforeEach(async () => {
    // TLS goes by the time of the day.
    clock = new VirtualClock(systemClock.nowMs());
    federation = createDomainFixture("demo.atoll", clock.nowMs());
    shop = createDomainFixture("shop.example", clock.nowMs());
    metrics = createClusterMetrics("shop-eu", clock, { planeCertificateMs: () => 0, intermediateMs: () => 0, jwtKeySinceMs: () => 0, closedRoles: () => [] });
    port = await open();
  });
  afterEach(async () => {
    await port[Symbol.asyncDispose]();
  });

  it("renews an identity by its key, while it holds and for a bounded time after its end", async () => {
    const first = shop.issue(catalogId);
    const second = await renew(first);
    expect(second.spiffeId).toBe(catalogId);
    clock.jumpWall(second.notAfterMs + 2 * hourMs - clock.nowMs());
    const third = await renew(second);
    expect(third.notAfterMs).toBeGreaterThan(clock.nowMs());
    clock.jumpWall(1);
    await expect(renew(second)).rejects.toMatchObject(refusal);
    await expect(renew(first)).rejects.toMatchObject(refusal);
    expect(await refusals("ATOLL_PEER_UNVERIFIED")).toBe(2);
    expect((await metrics.svidsIssued.get()).values).toMatchObject([{ labels: { kind: "renewedByKey" }, value: 2 }]);
  });

  it("renews nobody but the holder of the key, and nobody who is none of its workloads", async () => {
    const svid = shop.issue(catalogId);
    await expect(renew(svid, shop.issue(catalogId))).rejects.toMatchObject(refusal);
    expect(await refusals("ATOLL_SIGNATURE_INVALID")).toBe(1);
    const strangers = [federation.issue(planeId), createDomainFixture("shop.example", clock.nowMs()).issue(catalogId), createDomainFixture("pay.example", clock.nowMs()).issue("spiffe://pay.example/ns/core/sa/ledger"), shop.issue("spiffe://shop.example/atoll/plane/cluster/shop-eu"), shop.issue("spiffe://shop.example/atoll/gateway/shop-us")];
    for (const stranger of strangers) await expect(renew(stranger)).rejects.toMatchObject(refusal);
    expect(await refusals("ATOLL_PEER_UNVERIFIED")).toBe(strangers.length);
    expect((await renew(shop.issue("spiffe://shop.example/atoll/gateway/shop-eu"))).spiffeId).toBe("spiffe://shop.example/atoll/gateway/shop-eu");
  });

  it("renews what has ended not at all where it is told so", async () => {
    await port[Symbol.asyncDispose]();
    port = await open({ lapsedSvidSeconds: 0 });
    const svid = await renew(shop.issue(catalogId));
    clock.jumpWall(svid.notAfterMs + 1 - clock.nowMs());
    await expect(renew(svid)).rejects.toMatchObject(refusal);
  });

  it("asks joiners to come again until a term begins, and once it is over", async () => {
    const join = (): Promise<unknown> => call((client, options) => callUnary(client, joinService.issueFirst, { token: "atoll1.x", csr: createCsr(createKeyPair()) }, options));
    await expect(join()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const term = port.serve({ issueFirst: (_call, callback) => callback({ code: status.PERMISSION_DENIED, details: "asked" }), signer: undefined });
    await expect(join()).rejects.toMatchObject({ code: status.PERMISSION_DENIED, details: "asked" });
    term[Symbol.dispose]();
    await expect(join()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});
