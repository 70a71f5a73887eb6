import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { issueSvid } from "#federation/identity/leaf.ts";
import type { ServiceHost, TrustDomainName } from "#federation/model/names.ts";
import { workloadId } from "#federation/model/service.ts";
import type { InboundPort, ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { parseSpiffeId } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { TestPlane } from "#proxy/control/plane-fixture.ts";
import type { TestTrustDomain } from "#proxy/tls/identity-fixture.ts";
import { buildGoPeer, GoPeer } from "../harness/go-peer.ts";
import { eventually } from "../harness/eventually.ts";

// Applications that know nothing of Atoll take their identity from their sidecars' sockets by go-spiffe, and open mutual TLS by it: to a sidecar,
// as the port it serves for another application, and to each other, across trust domains.

const program = await buildGoPeer();
afterAll(() => program?.[Symbol.dispose]());

/** A trust domain as clusters have it: an intermediate, bound to the domain by a critical name constraint, issues the leaves. */
function trustDomainOfClusters(name: string): TestTrustDomain {
  const domain = createDomainFixture(name, systemClock.nowMs());
  const issue: TestTrustDomain["issue"] = (path, publicKey, validityMs = 3_600_000) =>
    issueSvid(domain.intermediateIssuer, { spiffeId: parseSpiffeId(`spiffe://${name}${path}`), publicKey, validityMs, nowMs: systemClock.nowMs() });
  return { bundle: domain.bundle, rootDer: domain.root.certificateDer, issue, svid: (path) => domain.issue(`spiffe://${name}${path}`, "intermediate") };
}

const shop = trustDomainOfClusters("shop.example");
const pay = trustDomainOfClusters("pay.example");
const storefrontId = "spiffe://shop.example/ns/web/sa/storefront";
const catalogId = "spiffe://shop.example/ns/web/sa/catalog";
const walletId = "spiffe://pay.example/ns/core/sa/wallet";
const host = "catalog.web.svc.shop.example" as ServiceHost;

let directory = "";
let shopPlane: TestPlane;
let payPlane: TestPlane;
const sidecars: ChildProcess[] = [];
const closers: (() => PromiseLike<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "atoll-go-spiffe-"));
  shopPlane = new TestPlane("shop-eu", shop);
  payPlane = new TestPlane("pay-eu", pay);
  for (const plane of [shopPlane, payPlane]) {
    await plane.open();
    closers.push(() => plane[Symbol.asyncDispose]());
  }
});
afterEach(async () => {
  for (const child of sidecars.splice(0)) {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await exit;
  }
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(directory, { recursive: true, force: true });
});

const socketOf = (name: string): string => join(directory, `${name}-run`, "api.sock");

async function start(name: string, token: string, more: object): Promise<{ readonly child: ChildProcess; readonly inbound: number }> {
  const file = (ending: string, text: string): string => {
    writeFileSync(join(directory, `${name}.${ending}`), text);
    return join(directory, `${name}.${ending}`);
  };
  const joinTokenFile = file("token", token);
  const ports = { outbound: 0, inbound: 0, gateway: 0, admin: 0, metrics: 0 };
  const dataDir = join(directory, name);
  const config = file("json", JSON.stringify({ mode: "sidecar", name, dataDir, joinTokenFile, address: "127.0.0.1", region: "eu-west", ports, logLevel: "warn", workloadApi: { path: socketOf(name) }, ...more }));
  const child = spawn(process.execPath, [join(import.meta.dirname, "..", "..", "proxy", "main.ts"), "--config", config], { stdio: ["ignore", "ignore", "inherit"] });
  sidecars.push(child);
  const readyFile = join(dataDir, "ready.json");
  const ready = await eventually(`the sidecar ${name} is ready`, () => (existsSync(readyFile) ? (JSON.parse(readFileSync(readyFile, "utf8")) as { readonly ports: { readonly inbound: number } }) : undefined), 60_000);
  return { child, inbound: ready.ports.inbound };
}

/** An application behind a sidecar, which says who called. */
async function openApp(): Promise<number> {
  const server = createServer((request, response) => response.end(`catalog for ${String(request.headers["x-forwarded-client-cert"]).replace(/.*URI=/, "")}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Whatever stands behind a sidecar of the shop may be called by every workload of both trust domains. */
const openToBoth: InboundPort = {
  ref: { namespace: "web", name: "catalog", trustDomain: "shop.example" } as unknown as InboundPort["ref"],
  port: { name: "http", port: 80, protocol: "http" } as unknown as InboundPort["port"],
  callers: ["shop.example", "pay.example"].map((trustDomain) => ({ trustDomain: trustDomain as TrustDomainName, principals: ["*"] })),
};

describe.skipIf(program === undefined)(`an application by go-spiffe${program === undefined ? " (left out: it could not be built here)" : ""}`, () => {
  it("takes its identity from its sidecar's socket, is known by it to sidecars and to others like it, also of another trust domain, and follows its renewal", async () => {
    const inbound = new Map([[`p80.${host}`, openToBoth]]);
    shopPlane.show({ bundles: [shop.bundle, pay.bundle], inbound: new Map([["/ns/web/sa/catalog", inbound], ["/ns/web/sa/storefront", inbound]]) });
    const identity = workloadId("shop.example" as TrustDomainName, "web", "catalog");
    const view = { ref: openToBoth.ref, host, aliases: [], ports: [openToBoth.port], serverIdentities: [identity], policy: defaultTrafficPolicy, places: [] } as unknown as ServiceView;
    payPlane.show({ bundles: [pay.bundle, shop.bundle], services: [view] });
    const workload = { instanceId: "catalog-1", services: [{ namespace: "web", service: "catalog", port: 80, appPort: await openApp() }] };
    const catalog = await start("catalog", shopPlane.token("/ns/web/sa/catalog"), { workload });
    const address = `127.0.0.1:${catalog.inbound}`;
    // Renewed within seconds, and then not again while this test lasts.
    for (const plane of [shopPlane, payPlane]) plane.svidValidityMs = 20_000;
    await start("storefront", shopPlane.token("/ns/web/sa/storefront"), {});
    await start("wallet", payPlane.token("/ns/core/sa/wallet"), {});
    for (const plane of [shopPlane, payPlane]) plane.svidValidityMs = 3_600_000;
    await using storefront = new GoPeer(program?.path ?? "", socketOf("storefront"));
    await using wallet = new GoPeer(program?.path ?? "", socketOf("wallet"));
    expect(await storefront.identityOf(1)).toMatchObject({ id: storefrontId, domains: ["pay.example", "shop.example"] });
    expect(await wallet.identityOf(1)).toMatchObject({ id: walletId, domains: ["pay.example", "shop.example"] });

    const calls = async (): Promise<void> => {
      // The sidecar has taken the proof of either for what it is, and go-spiffe the sidecar's.
      expect(await storefront.call(address, `p80.${host}`, catalogId)).toEqual({ event: "answer", status: 200, body: `catalog for ${storefrontId}` });
      expect(await wallet.call(address, `p80.${host}`, catalogId)).toEqual({ event: "answer", status: 200, body: `catalog for ${walletId}` });
      // Two applications without any sidecar between them.
      expect(await wallet.call(await storefront.address(), "storefront", storefrontId)).toEqual({ event: "answer", status: 200, body: `hello ${walletId}` });
      expect(await storefront.call(await wallet.address(), "wallet", walletId)).toEqual({ event: "answer", status: 200, body: `hello ${storefrontId}` });
    };
    const first = [storefront, wallet].map(({ identities }) => identities[0]?.serial);
    const second = [await storefront.identityOf(2), await wallet.identityOf(2)].map(({ serial }) => serial);
    expect(second).not.toEqual(first);
    await calls();
    expect((await wallet.call(address, `p80.${host}`, storefrontId)).error, "a server that proves another identity than the expected").toMatch(/unexpected ID "spiffe:\/\/shop\.example\/ns\/web\/sa\/catalog"/);

    // The relationship ends: what was given of the other trust domain is taken back, and its workloads are strangers.
    payPlane.show({ services: [], bundles: [pay.bundle] });
    await eventually("the foreign roots are taken back", () => wallet.identities.at(-1)?.domains.join() === "pay.example", 60_000);
    expect((await wallet.call(address, `p80.${host}`, catalogId)).error).toMatch(/no X\.509 bundle for trust domain "shop\.example"|no X\.509 bundle found for trust domain: "shop\.example"/);
    const serials = (peer: GoPeer): readonly string[] => peer.identities.map(({ serial, domains }) => `${serial} ${domains.join()}`);
    for (const peer of [storefront, wallet]) expect(new Set(serials(peer)).size, "nothing is told twice").toBe(serials(peer).length);
  });

  it("is given JWT-SVIDs by its sidecar, which others like it take for what they are, also of another trust domain, while there is a relationship", async () => {
    const withKeys = (domain: TestTrustDomain, plane: TestPlane): TrustBundle => ({ ...domain.bundle, jwtAuthorities: [plane.jwtAuthority] });
    const [shopBundle, payBundle] = [withKeys(shop, shopPlane), withKeys(pay, payPlane)];
    const inbound = new Map([[`p80.${host}`, openToBoth]]);
    shopPlane.show({ bundles: [shopBundle, payBundle], inbound: new Map([["/ns/web/sa/catalog", inbound], ["/ns/web/sa/storefront", inbound]]) });
    payPlane.show({ bundles: [payBundle, shopBundle], inbound: new Map([["/ns/core/sa/wallet", inbound]]) });
    await start("catalog", shopPlane.token("/ns/web/sa/catalog"), {});
    await start("storefront", shopPlane.token("/ns/web/sa/storefront"), {});
    await start("wallet", payPlane.token("/ns/core/sa/wallet"), {});
    await using catalog = new GoPeer(program?.path ?? "", socketOf("catalog"));
    await using storefront = new GoPeer(program?.path ?? "", socketOf("storefront"));
    await using wallet = new GoPeer(program?.path ?? "", socketOf("wallet"));
    const ways = ["parse", "validate"] as const;

    const own = await storefront.fetchToken("catalog");
    expect(own).toMatchObject({ id: storefrontId, audience: ["catalog"] });
    const foreign = await wallet.fetchToken("catalog");
    expect(foreign).toMatchObject({ id: walletId });
    for (const how of ways) {
      expect(await catalog.takeToken(how, "catalog", own.token ?? "")).toMatchObject({ id: storefrontId });
      expect(await catalog.takeToken(how, "catalog", foreign.token ?? "")).toMatchObject({ id: walletId });
      expect(await wallet.takeToken(how, "catalog", own.token ?? "")).toMatchObject({ id: storefrontId });
      expect((await catalog.takeToken(how, "wallet", own.token ?? "")).error, "a token for somebody else").toMatch(/audience|claim aud/);
      expect((await catalog.takeToken(how, "catalog", shopPlane.signJwt(parseSpiffeId(storefrontId), ["catalog"], -120_000).token)).error, "one that has ended").toMatch(/expired/);
      expect((await catalog.takeToken(how, "catalog", payPlane.signJwt(parseSpiffeId(storefrontId), ["catalog"]).token)).error, "one by the other trust domain").toMatch(/no JWT authority|no authority/);
    }

    // The plane is away: what was given goes on, and there is nothing new.
    expect((await storefront.fetchToken("catalog")).token).toBe(own.token);
    await shopPlane.closeDiscovery();
    expect((await storefront.fetchToken("catalog")).token).toBe(own.token);
    expect((await storefront.fetchToken("another")).error).toMatch(/Unavailable/);

    // The relationship ends: of the other trust domain no key is known any more.
    payPlane.show({ inbound: new Map(), bundles: [payBundle] });
    for (const how of ways) {
      const refused = await eventually(`the token is refused (${how})`, async () => (await wallet.takeToken(how, "catalog", own.token ?? "")).error, 60_000);
      expect(refused).toMatch(/no JWT bundle|no bundle/);
    }
  });
});
