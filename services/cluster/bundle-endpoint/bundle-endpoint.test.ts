import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIssuer, issueIntermediate } from "#federation/identity/authority.ts";
import { encodeBundle, parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { clusterConfigField } from "../config.ts";
import type { ClusterKeys } from "../credentials/cluster-keys.ts";
import { createClusterMetrics, type ClusterMetrics } from "../metrics.ts";
import { endpointLimits, type BundleEndpoint } from "./bundle-endpoint.ts";
import { connectionLimits } from "./connection-gate.ts";
import { openBundleEndpoint } from "./open-bundle-endpoint.ts";

const run = promisify(execFile);
const trustDomain = "shop.example" as TrustDomainName;
const endpointId = "spiffe://shop.example/atoll/bundle-endpoint";
const webName = "bundles.shop.example";
const hourMs = 3_600_000;

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
  /** Of the endpoint's certificate. */
  readonly names: string | undefined;
  readonly serial: string;
}

describe("the bundle endpoint of a plane", () => {
  let directory: string;
  let clock: VirtualClock;
  let domain: ReturnType<typeof createDomainFixture>;
  let web: ReturnType<typeof createDomainFixture>;
  let keys: WatchedValue<Pick<ClusterKeys, "issuer" | "bundle" | "closed">>;
  let metrics: ClusterMetrics;
  let stop: AbortController;
  let running: Promise<void>[];
  let endpoints: BundleEndpoint[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-bundle-endpoint-"));
    // TLS goes by the time of the day.
    clock = new VirtualClock(systemClock.nowMs());
    domain = createDomainFixture("shop.example", clock.nowMs());
    web = createDomainFixture("web.example", clock.nowMs());
    keys = new WatchedValue({ issuer: domain.intermediateIssuer, bundle: domain.bundle, closed: [] });
    metrics = createClusterMetrics("shop-eu", clock, { planeCertificateMs: () => 0, intermediateMs: () => 0, jwtKeySinceMs: () => 0, closedRoles: () => [] });
    stop = new AbortController();
    running = [];
    endpoints = [];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    for (const endpoint of endpoints) await endpoint[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  async function open(bundleEndpoint: object, more: Partial<Parameters<typeof openBundleEndpoint>[0]> = {}): Promise<BundleEndpoint> {
    const base = { cluster: "shop-eu", dataDir: "unused", bus: { kind: "socket", path: "unused" }, signer: { kind: "own", trustDomain } };
    const config = readConfig(JSON.stringify({ ...base, bundleEndpoint: { port: 0, ...bundleEndpoint } }), "test", clusterConfigField);
    const endpoint = await openBundleEndpoint({ config, trustDomain, keys, metrics, clock, random: createSeededRandom(1), logger: silentLogger, ...more });
    if (endpoint === undefined) throw new Error("none was opened");
    endpoints.push(endpoint);
    running.push(endpoint.run(stop.signal));
    return endpoint;
  }
  const openWeb = (): Promise<BundleEndpoint> => {
    const shown = web.issue("spiffe://web.example/x", "root", { dnsNames: [webName] });
    return open({ profile: "https_web", certificateFile: file("web.pem", shown.certificateChainPem), keyFile: file("web.key", shown.privateKeyPem) });
  };
  /** What a client does that knows the domain's roots and the endpoint's SPIFFE ID, or, by `https_web`, the web's roots and its name. */
  async function ask({ port }: BundleEndpoint, options: { readonly method?: string; readonly path?: string; readonly headers?: Readonly<Record<string, string>>; readonly by?: "https_spiffe" | "https_web"; readonly maxVersion?: "TLSv1.2" } = {}): Promise<Answer> {
    const { method = "GET", path = "/", headers = {}, by = "https_spiffe", maxVersion } = options;
    const verification =
      by === "https_web"
        ? { ca: web.root.certificatePem, servername: webName }
        : { ca: domain.root.certificatePem, checkServerIdentity: (_: string, { subjectaltname }: { readonly subjectaltname?: string }) => (subjectaltname === `URI:${endpointId}` ? undefined : new Error(`it is ${subjectaltname}`)) };
    return await new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, method, path, headers, agent: false, ...verification, ...(maxVersion === undefined ? {} : { maxVersion }) }, (response) => {
        const certificate = (response.socket as TLSSocket).getPeerCertificate();
        let body = "";
        response.setEncoding("utf8").on("data", (part: string) => (body += part));
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body, names: certificate.subjectaltname, serial: certificate.serialNumber }));
      });
      asked.on("error", reject);
      asked.end();
    });
  }
  const valuesOf = async (name: string): Promise<Readonly<Record<string, number>>> =>
    Object.fromEntries(((await metrics.registry.getSingleMetric(name)?.get())?.values ?? []).map(({ labels, value }) => [String(labels["reason"] ?? labels["status"] ?? ""), value]));
  const refused = (): Promise<Readonly<Record<string, number>>> => valuesOf("atoll_bundle_endpoint_refused_total");

  it("is not there unless it is configured", async () => {
    const config = readConfig(JSON.stringify({ cluster: "shop-eu", dataDir: "unused", bus: { kind: "socket", path: "unused" }, signer: { kind: "own", trustDomain } }), "test", clusterConfigField);
    expect(await openBundleEndpoint({ config, trustDomain, keys, metrics, clock, random: createSeededRandom(1), logger: silentLogger })).toBeUndefined();
    expect(await metrics.registry.metrics()).not.toContain("atoll_bundle_");
  });

  it.each([
    ["https_spiffe", () => open({ profile: "https_spiffe" })],
    ["https_web", openWeb],
  ] as const)("serves the document to anybody by %s, over TLS 1.2 and 1.3", async (by, start) => {
    const endpoint = await start();
    for (const versions of [{}, { maxVersion: "TLSv1.2" } as const]) {
      const answer = await ask(endpoint, { by, ...versions });
      expect(answer).toMatchObject({ status: 200, body: encodeBundle(domain.bundle), headers: { "content-type": "application/json", "cache-control": "no-cache", connection: "close" } });
      expect(parseBundle(answer.body, trustDomain)).toEqual(domain.bundle);
    }
    const { etag } = (await ask(endpoint, { by })).headers;
    expect(await ask(endpoint, { by, headers: { "if-none-match": String(etag) } })).toMatchObject({ status: 304, body: "" });
    expect(await ask(endpoint, { by, method: "HEAD" })).toMatchObject({ status: 200, body: "", headers: { etag, "content-length": String(encodeBundle(domain.bundle).length) } });
    expect((await ask(endpoint, { by, method: "POST" })).status).toBe(405);
    expect((await ask(endpoint, { by, path: "/metrics" })).status).toBe(404);
    expect(await valuesOf("atoll_bundle_endpoint_answers_total")).toEqual({ 200: 4, 304: 1, 404: 1, 405: 1 });
    expect(await valuesOf("atoll_bundle_sequence")).toEqual({ "": 1 });
  });

  it("is the same by https_spiffe in every cluster of the domain: one SPIFFE ID, one document, one tag", async () => {
    const otherKeys = createKeyPair();
    const chain = issueIntermediate(domain.rootIssuer, { trustDomain, name: "shop-us", publicKey: otherKeys.publicKey, validityMs: 24 * hourMs, nowMs: clock.nowMs() });
    const other = new WatchedValue({ issuer: createIssuer(chainPem(chain), exportPrivateKeyPem(otherKeys.privateKey)), bundle: domain.bundle, closed: [] });
    const otherMetrics = createClusterMetrics("shop-us", clock, { planeCertificateMs: () => 0, intermediateMs: () => 0, jwtKeySinceMs: () => 0, closedRoles: () => [] });
    const answers = [await ask(await open({ profile: "https_spiffe" })), await ask(await open({ profile: "https_spiffe" }, { keys: other, metrics: otherMetrics }))];
    expect(answers.map(({ names }) => names)).toEqual([`URI:${endpointId}`, `URI:${endpointId}`]);
    expect(new Set(answers.map(({ body, headers }) => `${String(headers["etag"])} ${body}`)).size).toBe(1);
    expect(new Set(answers.map(({ serial }) => serial)).size).toBe(2);
  });

  it("shows a new SVID of the same name at half of its life, and at once when the cluster has a new intermediate", async () => {
    const endpoint = await open({ profile: "https_spiffe" });
    const first = await ask(endpoint);
    // Virtual time alone moves on, so that what is issued then begins later: TLS has to take it now.
    await clock.advance(31 * 60_000 + 5_000);
    const second = await ask(endpoint).catch((error: unknown) => error);
    expect(second, "it is not valid yet by the time of the day").toMatchObject({ code: "CERT_NOT_YET_VALID" });
    clock.jumpWall(systemClock.nowMs() - clock.nowMs());

    const newKeys = createKeyPair();
    const chain = issueIntermediate(domain.rootIssuer, { trustDomain, name: "shop-eu", publicKey: newKeys.publicKey, validityMs: 24 * hourMs, nowMs: clock.nowMs() });
    keys.set({ issuer: createIssuer(chainPem(chain), exportPrivateKeyPem(newKeys.privateKey)), bundle: domain.bundle, closed: [] });
    await clock.advance(1);
    const third = await ask(endpoint);
    expect(third.names).toBe(`URI:${endpointId}`);
    expect(third.serial).not.toBe(first.serial);
    expect(endpoint.standing).toEqual({ profile: "https_spiffe", port: endpoint.port, sequence: 1, certificateNotAfterMs: expect.any(Number) as number });
  });

  it("opens by https_spiffe without its plane's intermediate, says why it serves nobody, and serves once that is back", async () => {
    keys.set({ issuer: undefined, bundle: domain.bundle, closed: [{ role: "issuing", reason: "intermediate.key is gone" }] });
    const endpoint = await open({ profile: "https_spiffe" });
    expect(endpoint.standing).toMatchObject({ fault: expect.stringContaining("intermediate.key is gone") as string });
    expect(endpoint.standing.certificateNotAfterMs).toBeUndefined();
    await expect(ask(endpoint)).rejects.toThrow();
    keys.set({ issuer: domain.intermediateIssuer, bundle: domain.bundle, closed: [] });
    await clock.advance(60_000);
    expect(endpoint.standing.fault).toBeUndefined();
    expect(await ask(endpoint)).toMatchObject({ status: 200 });
  });

  it("serves a new bundle from the moment on that its plane has it", async () => {
    const endpoint = await open({ profile: "https_spiffe" });
    const before = await ask(endpoint);
    const next = { ...domain.bundle, sequence: 2, x509Authorities: [...domain.bundle.x509Authorities, createDomainFixture("shop.example", clock.nowMs()).root.certificateDer] };
    keys.set({ issuer: domain.intermediateIssuer, bundle: next, closed: [] });
    const after = await ask(endpoint, { headers: { "if-none-match": String(before.headers["etag"]) } });
    expect(after).toMatchObject({ status: 200, body: encodeBundle(next) });
    expect(await valuesOf("atoll_bundle_sequence")).toEqual({ "": 2 });
  });

  it("shows another web certificate when its files change", async () => {
    const endpoint = await openWeb();
    const first = await ask(endpoint, { by: "https_web" });
    const renewed = web.issue("spiffe://web.example/x", "root", { dnsNames: [webName] });
    file("web.pem", renewed.certificateChainPem);
    file("web.key", renewed.privateKeyPem);
    await clock.advance(10_000);
    expect((await ask(endpoint, { by: "https_web" })).serial).not.toBe(first.serial);
  });

  it("serves nobody while there is no web certificate, and the plane starts all the same", async () => {
    const endpoint = await open({ profile: "https_web", certificateFile: join(directory, "none.pem"), keyFile: join(directory, "none.key") });
    await expect(ask(endpoint, { by: "https_web" })).rejects.toThrow(/handshake failure/);
    expect(await refused()).toEqual({ handshake: 1 });
    expect(endpoint.standing).toEqual({ profile: "https_web", port: endpoint.port, sequence: 1, fault: expect.stringMatching(/none\.key cannot be used: ENOENT/) as string });
    expect(await valuesOf("atoll_bundle_endpoint_certificate_expiry_timestamp_seconds")).toEqual({ "": 0 });
    expect((await metrics.renewalFailures.get()).values).toEqual([expect.objectContaining({ labels: { certificate: "bundleEndpoint" }, value: 1 })]);
  });

  it("is taken by openssl, which gets nothing by an older TLS or without forward secrecy", async () => {
    const { port } = await open({ profile: "https_spiffe" });
    const openssl = async (...args: readonly string[]): Promise<string> => {
      const client = run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", file("root.pem", domain.root.certificatePem), "-x509_strict", "-purpose", "sslserver", "-ign_eof", ...args]);
      client.child.stdin?.end("GET / HTTP/1.1\r\nhost: bundles\r\n\r\n");
      const { stdout, stderr } = await client.catch((error: { readonly stdout: string; readonly stderr: string }) => error);
      return stdout + stderr;
    };
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const said = await openssl("-verify_return_error", version);
      expect(said).toContain("Verify return code: 0 (ok)");
      expect(said).toContain(encodeBundle(domain.bundle));
    }
    for (const old of ["-tls1_1", "-tls1"]) expect(await openssl(old, "-cipher", "DEFAULT@SECLEVEL=0")).toContain("alert protocol version");
    for (const weak of ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA"]) expect(await openssl("-tls1_2", "-cipher", weak)).toContain("alert handshake failure");
  });

  describe("borne by a plane that has other things to do", () => {
    let endpoint: BundleEndpoint;
    const opened: Socket[] = [];
    beforeEach(async () => {
      endpoint = await open({ profile: "https_spiffe" });
    });
    afterEach(() => {
      for (const socket of opened.splice(0)) socket.destroy();
    });
    /** A connection from one of the addresses of loopback. */
    const comeFrom = async (localAddress: string): Promise<Socket> => {
      const socket = connectTcp({ host: "127.0.0.1", port: endpoint.port, localAddress });
      opened.push(socket);
      socket.on("error", () => socket.destroy());
      await once(socket, "connect");
      return socket;
    };
    const open256 = (): Promise<Readonly<Record<string, number>>> => valuesOf("atoll_bundle_endpoint_connections");
    const heldBy = async (count: number): Promise<void> => {
      while ((await open256())[""] !== count) await new Promise<void>((resolve) => void systemClock.schedule(2, resolve));
    };

    it("cuts whoever is slow, in the handshake and after it, when its time is over", async () => {
      const silent = await comeFrom("127.0.0.1");
      const slow = connect({ host: "127.0.0.1", port: endpoint.port, ca: domain.root.certificatePem, checkServerIdentity: () => undefined });
      opened.push(slow);
      await once(slow, "secureConnect");
      slow.on("error", () => undefined);
      const ends = Promise.all([silent, slow].map((socket) => once(socket, "close")));
      slow.write("GET / HTTP/1.1\r\n");
      for (let turn = 1; turn < 10; turn++) {
        await clock.advance(endpointLimits.connectionMs / 10);
        slow.write(`x-${turn}: y\r\n`);
      }
      await heldBy(2);
      await clock.advance(endpointLimits.connectionMs / 10);
      await ends;
      await heldBy(0);
      expect(await refused()).toEqual({ time: 2 });
    });

    it("lets one address have its part, and others theirs", async () => {
      const greedy = await Promise.all(Array.from({ length: connectionLimits.connectionsOfAddress }, () => comeFrom("127.0.0.2")));
      await heldBy(greedy.length);
      const next = await comeFrom("127.0.0.2");
      if (!next.destroyed) await once(next, "close");
      expect(await refused()).toEqual({ connectionsOfAddress: 1 });
      expect((await ask(endpoint)).status).toBe(200);
    });

    it("answers what is no request, and what is too long of one, and ends it", async () => {
      const send = async (text: string): Promise<string> => {
        const socket = connect({ host: "127.0.0.1", port: endpoint.port, ca: domain.root.certificatePem, checkServerIdentity: () => undefined });
        opened.push(socket);
        let said = "";
        socket.setEncoding("utf8").on("data", (part: string) => (said += part));
        socket.on("error", () => undefined);
        socket.write(text);
        await once(socket, "close");
        return said;
      };
      expect(await send("hello\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
      expect(await send(`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${"y".repeat(endpointLimits.headBytes)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
      expect(await refused()).toEqual({ request: 2 });
      // One request a connection, whatever follows it.
      const twice = await send("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n");
      expect(twice.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
    });

    it("ends with whatever is open", async () => {
      const silent = await comeFrom("127.0.0.1");
      await heldBy(1);
      const ended = once(silent, "close");
      await endpoint[Symbol.asyncDispose]();
      await ended;
      expect((await open256())[""]).toBe(0);
    });
  });
});
