import { execFileSync, spawn } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { chainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { ServiceHost, TrustDomainName } from "#federation/model/names.ts";
import { workloadId } from "#federation/model/service.ts";
import type { InboundPort, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { turn } from "#federation/runtime/turns.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { x509SvidResponseCodec, type X509SvidResponse } from "#federation/wire/spiffe-workload.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { emptySnapshot } from "../control/snapshot-builder.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { answersOf, bundlesFor } from "./workload-answers.ts";
import { openWorkloadApi, type WorkloadApi, type WorkloadApiOptions } from "./workload-api.ts";
import { TestWorkload } from "./workload-client-fixture.ts";

// Real sockets and the gRPC client that applications have: everything here waits for states, never for times.

const shop = createDomainFixture("shop.example", systemClock.nowMs());
const pay = createTestTrustDomain("pay.example");
const ship = createTestTrustDomain("ship.example");
const catalogId = "spiffe://shop.example/ns/web/sa/catalog";

let directory = "";
let path = "";
let svid: WatchedValue<X509Svid | undefined>;
let snapshot: WatchedValue<Snapshot>;
const closers: (() => PromiseLike<void> | void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-workload-"));
  path = join(directory, "api.sock");
  svid = new WatchedValue<X509Svid | undefined>(shop.issue(catalogId, "intermediate"));
  snapshot = new WatchedValue<Snapshot>({ ...emptySnapshot, bundles: bundles(shop.bundle) });
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(directory, { recursive: true, force: true });
});

/** No plane. */
const issueJwt = async (): Promise<never> => await Promise.reject(new Error("no JWT-SVID is asked for here"));

async function open(more: Partial<WorkloadApiOptions> = {}): Promise<WorkloadApi> {
  const api = await openWorkloadApi({ path, mode: "0600", svid, snapshot, isIdentityRefused: () => false, issueJwt, clock: systemClock, random: systemRandom, logger: silentLogger, ...more });
  closers.push(() => api[Symbol.asyncDispose]());
  return api;
}

function application(): TestWorkload {
  const workload = new TestWorkload(path);
  closers.push(() => workload[Symbol.dispose]());
  return workload;
}

function bundles(...list: readonly TrustBundle[]): Snapshot["bundles"] {
  return new Map(list.map((bundle) => [bundle.trustDomain, bundle]));
}

function change(next: Partial<Snapshot>): void {
  snapshot.set({ ...snapshot.current, ...next });
}

/** A port of the workload that any workload of `callers` may call. */
function openTo(...callers: readonly string[]): Snapshot["inbound"] {
  const port: InboundPort = {
    ref: { namespace: "web", name: "catalog" } as InboundPort["ref"],
    port: { name: "http", port: 80, protocol: "http" } as unknown as InboundPort["port"],
    callers: callers.map((trustDomain) => ({ trustDomain: trustDomain as TrustDomainName, principals: ["*"] })),
  };
  return new Map([["p80.catalog.web.svc.shop.example", port]]);
}

/** One service of a trust domain, with a place so that two of them differ. */
function serviceOf(trustDomain: string, regions = 1): Snapshot["services"] {
  const host = `api.core.svc.${trustDomain}` as ServiceHost;
  const places = Array.from({ length: regions }, (_, index) => ({ kind: "local", cluster: `c${index}`, region: "eu-west", endpoints: [] }));
  const view = { host, serverIdentities: [workloadId(trustDomain as TrustDomainName, "core", "api")], policy: defaultTrafficPolicy, places };
  return new Map([[host, view as unknown as ServiceView]]);
}

/** The certificates that stand one after the other in `der`. */
function certificatesIn(der: Uint8Array): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let rest = Buffer.from(der); rest.length > 0; ) {
    // All of them have between 256 and 65,535 bytes: a sequence with a length of two bytes.
    expect(rest.subarray(0, 2).toString("hex")).toBe("3082");
    const end = 4 + rest.readUInt16BE(2);
    found.push(rest.subarray(0, end));
    rest = rest.subarray(end);
  }
  return found;
}

async function metricsOf(api: WorkloadApi): Promise<string> {
  const registry = new Registry();
  api.addMetrics(registry);
  return await registry.metrics();
}

describe("an application", () => {
  it("is told its SVID at once, with the key that belongs to it, and with roots by which openssl accepts its peers strictly", async () => {
    await open();
    const response = await application().svids().atLeast(1);
    expect(response.svids).toHaveLength(1);
    const [entry] = response.svids;
    expect(entry).toMatchObject({ spiffeId: catalogId, hint: "" });
    const chain = certificatesIn(entry?.x509Svid ?? Buffer.alloc(0));
    expect(chain).toHaveLength(2);
    const leaf = new X509Certificate(chain[0] as Buffer);
    expect(leaf.subjectAltName).toBe(`URI:${catalogId}`);
    expect(leaf.checkPrivateKey(createPrivateKey({ key: Buffer.from(entry?.x509SvidKey ?? []), format: "der", type: "pkcs8" }))).toBe(true);
    const roots = certificatesIn(entry?.bundle ?? Buffer.alloc(0));
    expect(roots.map((root) => root.equals(Buffer.from(shop.root.certificateDer)))).toEqual([true]);
    expect(response).toMatchObject({ crl: [], federatedBundles: {} });

    const peer = shop.issue("spiffe://shop.example/ns/web/sa/storefront", "intermediate");
    for (const [name, pem] of [["mine", chainPem(chain)], ["peer", peer.certificateChainPem]] as const) {
      writeFileSync(join(directory, `${name}.pem`), pem);
      writeFileSync(join(directory, "roots.pem"), chainPem(roots));
      const files = ["-CAfile", join(directory, "roots.pem"), "-untrusted", join(directory, `${name}.pem`), join(directory, `${name}.pem`)];
      for (const purpose of ["sslserver", "sslclient"]) expect(execFileSync("openssl", ["verify", "-x509_strict", "-purpose", purpose, ...files], { encoding: "utf8" })).toContain("OK");
    }
  });

  it("is told anew, and in full, when its SVID is renewed or roots change, and never the same twice", async () => {
    const api = await open();
    const workload = application();
    const svids = workload.svids();
    const roots = workload.bundles();
    await svids.atLeast(1);
    await roots.atLeast(1);

    // What changes nothing for the workload: endpoints, and an equal bundle in another object.
    change({ services: serviceOf("shop.example", 1) });
    await turn();
    change({ services: serviceOf("shop.example", 2), bundles: bundles({ ...shop.bundle }) });
    await turn();
    const renewed = shop.issue(catalogId, "root");
    svid.set(renewed);
    const second = await svids.atLeast(2);
    expect(certificatesIn(second.svids[0]?.x509Svid ?? Buffer.alloc(0)).map((der) => new X509Certificate(der).serialNumber)).toEqual([new X509Certificate(renewed.certificateChainPem).serialNumber]);
    expect(svids.messages).toHaveLength(2);

    const [another] = createTestTrustDomain("shop.example").bundle.x509Authorities;
    change({ bundles: bundles({ ...shop.bundle, sequence: 2, x509Authorities: [...shop.bundle.x509Authorities, another as Uint8Array] }) });
    const third = await svids.atLeast(3);
    const both = [Buffer.from(shop.root.certificateDer), Buffer.from(another as Uint8Array)];
    expect(certificatesIn(third.svids[0]?.bundle ?? Buffer.alloc(0))).toEqual(both);
    const known = await roots.atLeast(2);
    expect(Object.entries(known.bundles).map(([id, der]) => [id, certificatesIn(der)])).toEqual([["spiffe://shop.example", both]]);
    expect([svids.messages.length, roots.messages.length], "a new SVID is none of the bundles' business").toEqual([3, 2]);
    expect(await metricsOf(api)).toContain('atoll_workload_api_responses_total{method="FetchX509SVID"} 3');
    expect(await metricsOf(api)).toContain('atoll_workload_api_streams{method="FetchX509Bundles"} 1');
  });

  it("is told the roots of a foreign trust domain under that domain's name, while it has to do with it, and of no other", async () => {
    change({ bundles: bundles(shop.bundle, pay.bundle, ship.bundle) });
    await open();
    const workload = application();
    const svids = workload.svids();
    const roots = workload.bundles();
    const foreign = (map: Readonly<Record<string, Uint8Array>>): object => Object.fromEntries(Object.entries(map).map(([id, der]) => [id, certificatesIn(der)]));
    const own = { "spiffe://shop.example": [Buffer.from(shop.root.certificateDer)] };
    const paying = { "spiffe://pay.example": [Buffer.from(pay.rootDer)] };
    const shipping = { "spiffe://ship.example": [Buffer.from(ship.rootDer)] };
    expect(foreign((await svids.atLeast(1)).federatedBundles)).toEqual({});
    expect(foreign((await roots.atLeast(1)).bundles)).toEqual(own);

    change({ inbound: openTo("shop.example", "pay.example") });
    expect(foreign((await svids.atLeast(2)).federatedBundles)).toEqual(paying);
    change({ services: serviceOf("ship.example") });
    expect(foreign((await svids.atLeast(3)).federatedBundles)).toEqual({ ...paying, ...shipping });
    expect(foreign((await roots.atLeast(3)).bundles)).toEqual({ ...own, ...paying, ...shipping });
    change({ inbound: openTo("shop.example") });
    expect(foreign((await svids.atLeast(4)).federatedBundles)).toEqual(shipping);
    expect(foreign((await roots.atLeast(4)).bundles)).toEqual({ ...own, ...shipping });
    for (const { svids: [entry] } of svids.messages) expect(certificatesIn(entry?.bundle ?? Buffer.alloc(0))).toEqual(own["spiffe://shop.example"]);
  });

  it("is told the roots of a federated trust domain whether it has to do with it or not, until it is federated no more", async () => {
    const federated: TrustBundle = { ...pay.bundle, isFederated: true };
    change({ bundles: bundles(shop.bundle, federated, ship.bundle) });
    await open();
    const svids = application().svids();
    const names = (map: Readonly<Record<string, Uint8Array>>): readonly string[] => Object.keys(map);
    const { federatedBundles } = await svids.atLeast(1);
    expect(names(federatedBundles)).toEqual(["spiffe://pay.example"]);
    expect(certificatesIn(federatedBundles["spiffe://pay.example"] ?? Buffer.alloc(0))).toEqual([Buffer.from(pay.rootDer)]);
    change({ bundles: bundles(shop.bundle, pay.bundle, ship.bundle) });
    expect(names((await svids.atLeast(2)).federatedBundles)).toEqual([]);
  });

  it("is refused without the standard's header, whatever it asks for", async () => {
    const api = await open();
    const workload = application();
    for (const header of [null, "false", "True"]) {
      expect(await workload.svids(header).ended).toMatchObject({ code: status.INVALID_ARGUMENT, details: "the request lacks the metadata workload.spiffe.io: true" });
    }
    for (const method of ["FetchX509SVID", "FetchX509Bundles", "FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"]) {
      expect(await workload.refusalOf(method, new Metadata()), method).toMatchObject({ code: status.INVALID_ARGUMENT });
    }
    expect(await metricsOf(api)).toContain('atoll_workload_api_refused_total{reason="header"} 8');
  });

  it("hears that nothing else is served", async () => {
    await open();
    const header = new Metadata();
    header.set("workload.spiffe.io", "true");
    expect(await application().refusalOf("FetchWITSVID", header)).toMatchObject({ code: status.UNIMPLEMENTED });
  });

  it("is told to come again while there is no identity, and that there is none when the plane gives none", async () => {
    svid.set(undefined);
    let isRefused = false;
    await open({ isIdentityRefused: () => isRefused });
    const workload = application();
    expect(await workload.svids().ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(await workload.bundles().ended).toMatchObject({ code: status.UNAVAILABLE });
    svid.set(shop.issue(catalogId));
    const following = workload.svids();
    await following.atLeast(1);
    svid.set(undefined);
    expect(await following.ended, "an SVID that has ended is taken back").toMatchObject({ code: status.UNAVAILABLE });
    isRefused = true;
    expect(await workload.svids().ended).toMatchObject({ code: status.PERMISSION_DENIED });
    change({ bundles: new Map() });
    isRefused = false;
    svid.set(shop.issue(catalogId));
    expect(await workload.svids().ended, "without roots an SVID is of no use").toMatchObject({ code: status.UNAVAILABLE });
  });

  it("has so many streams at a time, and one more when another has ended", async () => {
    const api = await open({ streamsMax: 3 });
    const workload = application();
    const streams = [workload.svids(), workload.bundles(), workload.svids()];
    for (const stream of streams) await stream.atLeast(1);
    expect(await workload.svids().ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(await metricsOf(api)).toContain('atoll_workload_api_refused_total{reason="tooManyStreams"} 1');
    streams[0]?.call.cancel();
    await expect.poll(() => metricsOf(api)).toContain('atoll_workload_api_streams{method="FetchX509SVID"} 1');
    await workload.svids().atLeast(1);
  });

  it("that reads slowly is told the newest once it reads again, and nothing of what was between", async () => {
    // One answer is larger than a stream's window in HTTP/2, so that a reader who takes nothing has the first on its way and no other.
    const many = Array.from({ length: 200 }, (_, index) => createTestTrustDomain(`d${index}.example`).bundle);
    change({ bundles: bundles(shop.bundle, ...many), inbound: openTo(...many.map(({ trustDomain }) => trustDomain)) });
    const api = await open();
    const session = connectHttp2("http://localhost", { createConnection: () => createConnection(path) });
    const slow = session.request({ ":method": "POST", ":path": "/SpiffeWorkloadAPI/FetchX509SVID", "content-type": "application/grpc", te: "trailers", "workload.spiffe.io": "true" });
    closers.push(() => session.destroy());
    slow.end(Buffer.alloc(5));
    await expect.poll(() => metricsOf(api)).toContain('atoll_workload_api_responses_total{method="FetchX509SVID"} 1\n');
    const fast = application().svids();
    await fast.atLeast(1);
    const changes = 20;
    for (let count = 0; count < changes; count++) {
      svid.set(shop.issue(catalogId));
      await fast.atLeast(count + 2);
    }
    expect(await metricsOf(api)).toContain(`atoll_workload_api_responses_total{method="FetchX509SVID"} ${changes + 2}\n`);
    const messages: X509SvidResponse[] = [];
    let rest = Buffer.alloc(0);
    slow.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      // gRPC's frame: a byte for compression, four for the length.
      for (; rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1); rest = rest.subarray(5 + rest.readUInt32BE(1))) messages.push(x509SvidResponseCodec.decode(rest.subarray(5, 5 + rest.readUInt32BE(1))));
    });
    await expect.poll(() => messages.length).toBe(2);
    expect(messages[1]).toEqual(fast.messages.at(-1));
    expect(messages[0]).toEqual(fast.messages[0]);
  });

  it("keeps nobody else from theirs by what is no request: other bytes, a request that is too large, connections without end", async () => {
    const api = await open();
    for (const words of ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]) {
      const socket = createConnection(path);
      socket.write(words, "latin1");
      socket.on("error", () => undefined);
      socket.resume();
      await once(socket, "close");
    }
    const session = connectHttp2("http://localhost", { createConnection: () => createConnection(path) });
    closers.push(() => session.destroy());
    const large = session.request({ ":method": "POST", ":path": "/SpiffeWorkloadAPI/FetchX509SVID", "content-type": "application/grpc", te: "trailers", "workload.spiffe.io": "true" });
    const frame = Buffer.alloc(5 + 40_000);
    frame.writeUInt32BE(40_000, 1);
    large.end(frame);
    large.resume();
    const [trailers] = (await once(large, "response")) as [Readonly<Record<string, string>>];
    expect(Number(trailers["grpc-status"])).toBe(status.RESOURCE_EXHAUSTED);

    const silent = Array.from({ length: 120 }, () => createConnection(path));
    closers.push(() => silent.forEach((socket) => socket.destroy()));
    for (const socket of silent) socket.on("error", () => undefined);
    await expect.poll(() => metricsOf(api)).toMatch(/refused_total\{reason="tooManyConnections"\} 2\d/);
    for (const socket of silent) socket.destroy();
    await expect.poll(async () => (await application().svids().atLeast(1).catch(() => undefined))?.svids.length).toBe(1);
  });

  it("hears of the end of its sidecar, and finds the socket gone", async () => {
    const api = await open();
    const following = application().svids();
    await following.atLeast(1);
    await api[Symbol.asyncDispose]();
    expect(await following.ended).toMatchObject({ code: status.UNAVAILABLE, details: "the sidecar ends" });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("the answers", () => {
  it("hold no root that the sidecar would not take, and none of one's own under a foreign name", () => {
    const current = shop.issue(catalogId);
    const impostor: TrustBundle = { ...pay.bundle, x509Authorities: [...shop.bundle.x509Authorities, Uint8Array.of(1, 2), pay.rootDer] };
    const known = { ...emptySnapshot, bundles: bundles(impostor, shop.bundle), inbound: openTo("pay.example") };
    const answers = answersOf(current, bundlesFor(known, "shop.example" as TrustDomainName));
    const svids = Buffer.from(answers?.svids ?? []);
    expect(svids.indexOf(Buffer.from(shop.root.certificateDer))).toBe(svids.lastIndexOf(Buffer.from(shop.root.certificateDer)));
    expect(svids.includes(Buffer.from(pay.rootDer))).toBe(true);
    expect(svids.includes("spiffe://pay.example")).toBe(true);
  });

  it("hold a federated trust domain after those of relationships, so that it stands in the way of none", () => {
    const impostor: TrustBundle = { ...createTestTrustDomain("a.example").bundle, x509Authorities: [pay.rootDer, ...shop.bundle.x509Authorities, ship.rootDer], isFederated: true };
    const known = { ...emptySnapshot, bundles: bundles(impostor, pay.bundle, shop.bundle), inbound: openTo("pay.example") };
    const list = bundlesFor(known, "shop.example" as TrustDomainName);
    expect(list.map(({ trustDomain }) => trustDomain)).toEqual(["shop.example", "pay.example", "a.example"]);
    const told = Buffer.from(answersOf(shop.issue(catalogId), list)?.bundles ?? []);
    for (const root of [shop.root.certificateDer, pay.rootDer, ship.rootDer]) expect(told.indexOf(Buffer.from(root))).toBe(told.lastIndexOf(Buffer.from(root)));
    for (const domain of ["pay.example", "a.example"]) expect(told.includes(`spiffe://${domain}`)).toBe(true);
  });

  it("leave out the last of the foreign trust domains where they have no room, and say how many", () => {
    const known = { ...emptySnapshot, bundles: bundles(shop.bundle, pay.bundle, ship.bundle), inbound: openTo("pay.example", "ship.example") };
    const list = bundlesFor(known, "shop.example" as TrustDomainName);
    const answers = answersOf(shop.issue(catalogId), list, pay.rootDer.length + 100);
    expect(answers?.domainsLeftOut).toBe(1);
    expect(Buffer.from(answers?.bundles ?? []).includes("spiffe://pay.example")).toBe(true);
    expect(Buffer.from(answers?.bundles ?? []).includes("spiffe://ship.example")).toBe(false);
  });
});

describe("the socket", () => {
  it.each([["0600", 0o600, 0o700], ["0660", 0o660, 0o750]] as const)("has the mode %s, whatever the process's own mask, in a directory that is made for it", async (mode, socketMode, directoryMode) => {
    path = join(directory, "made", "api.sock");
    await open({ mode });
    expect(statSync(path).isSocket()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(socketMode);
    expect(statSync(join(directory, "made")).mode & 0o777).toBe(directoryMode);
    expect(readdirSync(join(directory, "made"))).toEqual(["api.sock"]);
    await application().svids().atLeast(1);
  });

  it.skipIf(process.getuid?.() !== 0)("is the group's of its directory, where that has the setgid bit (left out unless root runs it)", async () => {
    const group = 54_321;
    chownSync(directory, 0, group);
    chmodSync(directory, 0o2750);
    await open({ mode: "0660" });
    expect(statSync(path).gid).toBe(group);
  });

  it.skipIf(process.getuid?.() !== 0)("is not opened in a directory of another user (left out unless root runs it)", async () => {
    chownSync(directory, 54_321, 0);
    await expect(open()).rejects.toMatchObject({ code: "ATOLL_SOCKET_UNSAFE", message: expect.stringContaining("belongs to another user (54321)") });
  });

  it.each([0o777, 0o1777, 0o770])("is not opened in a directory that others may write to (%o)", async (mode) => {
    chmodSync(directory, mode);
    await expect(open()).rejects.toMatchObject({ code: "ATOLL_SOCKET_UNSAFE", message: expect.stringMatching(new RegExp(`the directory ${directory}, .*its mode is ${mode.toString(8)}.*chmod go-w ${directory}`)) });
    expect(readdirSync(directory)).toEqual([]);
  });

  it("is not opened where there is no directory to make it in", async () => {
    await expect(open({ path: join(directory, "a", "b", "api.sock") })).rejects.toMatchObject({ code: "ATOLL_SOCKET_UNSAFE", message: expect.stringContaining(`${join(directory, "a", "b")}, for the socket`) });
  });

  it("has a path that a socket can have, also while it is made, or is not opened at all", async () => {
    const name = (bytes: number): string => join(directory, "x".repeat(bytes - directory.length - 1));
    mkdirSync(name(94));
    await expect(open({ path: join(name(94), "a") })).rejects.toMatchObject({ code: "ATOLL_CONFIG_INVALID", message: expect.stringContaining(`choose a directory with a shorter path than ${name(94)}`) });
    mkdirSync(name(93));
    path = join(name(93), "api.sock9");
    await open();
    await application().svids().atLeast(1);
    expect(readdirSync(name(93))).toEqual(["api.sock9"]);
  });

  it("replaces one that a killed process has left behind", async () => {
    const child = spawn(process.execPath, ["-e", `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`]);
    await once(child, "exit");
    expect(statSync(path).isSocket()).toBe(true);
    await open();
    await application().svids().atLeast(1);
  });

  it("leaves alone one on which another process answers, and whatever is no socket", async () => {
    await open();
    await expect(open()).rejects.toMatchObject({ code: "ATOLL_SOCKET_TAKEN", message: expect.stringContaining(`${path} is not replaced: another process answers on it`) });
    await application().svids().atLeast(1);
    const file = join(directory, "file");
    writeFileSync(file, "kept");
    await expect(open({ path: file })).rejects.toMatchObject({ code: "ATOLL_SOCKET_TAKEN", message: expect.stringContaining("is no socket") });
    symlinkSync("elsewhere", join(directory, "link"));
    await expect(open({ path: join(directory, "link") })).rejects.toMatchObject({ code: "ATOLL_SOCKET_TAKEN" });
    expect(readdirSync(directory).toSorted()).toEqual(["api.sock", "file", "link"]);
  });

  it("is not taken away from who has put another one into its place", async () => {
    const api = await open();
    rmSync(path);
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await api[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(true);
    await new Promise((resolve) => other.close(resolve));
  });
});
