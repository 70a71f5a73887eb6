import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { RequestListener } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { federatedBundleBytesMax } from "#federation/model/federated-trust-domain.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { bundleEndpointId } from "#federation/model/spiffe-id.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { createBundleFetch, fetchLimits, type FetchOptions, type FetchOutcome, type FetchQuestion } from "./fetch-bundle.ts";

const none = { kind: "none" } as const;
const found = (...addresses: readonly string[]): Awaited<ReturnType<NameLookup>> => ({ v4: { kind: "found", addresses, ttlMs: 1_000 }, v6: none });

describe("a fetch of a bundle", () => {
  let partner: DomainFixture;
  let web: DomainFixture;
  let servers: Server[];

  beforeEach(() => {
    partner = createDomainFixture("partner.example", systemClock.nowMs());
    web = createDomainFixture("web.example", systemClock.nowMs());
    servers = [];
  });
  afterEach(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  });

  async function serve(shown: X509Svid, answer: RequestListener): Promise<number> {
    const server = createServer({ cert: shown.certificateChainPem, key: shown.privateKeyPem }, answer).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }
  const document = (text = encodeBundle(partner.bundle)): RequestListener => (_request, response) => void response.end(text);
  const asEndpoint = (domain = partner, id: string = bundleEndpointId(partner.name)): X509Svid => domain.issue(id, "intermediate");
  const asWeb = (): X509Svid => web.issue("spiffe://web.example/x", "root", { dnsNames: ["bundles.partner.example"] });
  const spiffe = (port: number, over: Partial<FetchQuestion> = {}): FetchQuestion => ({
    trustDomain: partner.name,
    url: `https://127.0.0.1:${port}/`,
    endpoint: { profile: "https_spiffe", spiffeId: bundleEndpointId(partner.name) },
    believed: partner.bundle,
    ...over,
  });
  const webbed = (port: number, url = `https://bundles.partner.example:${port}/path?x=1`): FetchQuestion => ({ trustDomain: partner.name, url, endpoint: { profile: "https_web", webRootsPem: web.root.certificatePem }, believed: undefined });
  const fetch = async (question: FetchQuestion, over: Partial<FetchOptions> = {}): Promise<FetchOutcome> =>
    await createBundleFetch({ lookup: async () => found("127.0.0.1"), ownAddress: "127.0.0.1", clock: systemClock, ...over })(question, new AbortController().signal);
  const reasonOf = async (question: FetchQuestion, over: Partial<FetchOptions> = {}): Promise<string> => {
    const outcome = await fetch(question, over);
    return outcome.kind === "failed" ? outcome.reason : outcome.kind;
  };

  it("by https_spiffe takes what exactly the configured identity says, proved by the bundle that is believed", async () => {
    const port = await serve(asEndpoint(), document());
    expect(await fetch(spiffe(port))).toEqual({ kind: "fetched", bundle: partner.bundle });
    expect(await reasonOf(spiffe(port, { endpoint: { profile: "https_spiffe", spiffeId: "spiffe://partner.example/spire/server" as SpiffeId } })), "another identity").toBe("identity");
    expect(await reasonOf(spiffe(port, { believed: createDomainFixture("partner.example", systemClock.nowMs()).bundle })), "other roots").toBe("identity");
    expect(await reasonOf(spiffe(port, { believed: undefined })), "no roots yet").toBe("identity");
  });

  it("by https_spiffe takes nothing from a foreign authority that claims the identity, nor from a certificate of the web", async () => {
    // Its roots are in no context of this fetch; and where they are, they are bound to their own trust domain.
    const forged = asEndpoint(createDomainFixture("evil.example", systemClock.nowMs()));
    expect(await reasonOf(spiffe(await serve(forged, document())))).toBe("identity");
    expect(await reasonOf(spiffe(await serve(asWeb(), document())))).toBe("identity");
    const ofOther = createDomainFixture("evil.example", systemClock.nowMs());
    const believed = { ...partner.bundle, x509Authorities: [...partner.bundle.x509Authorities, ...ofOther.bundle.x509Authorities] };
    expect(await reasonOf(spiffe(await serve(ofOther.issue("spiffe://evil.example/atoll/bundle-endpoint", "intermediate"), document()), { believed }))).toBe("identity");
  });

  it("by https_web takes what the name in the URL says, by the roots that were given, and asks for the URL's path", async () => {
    const asked: (string | undefined)[] = [];
    const port = await serve(asWeb(), (request, response) => {
      asked.push(request.url, request.headers.host);
      response.end(encodeBundle(partner.bundle));
    });
    expect(await fetch(webbed(port))).toEqual({ kind: "fetched", bundle: partner.bundle });
    expect(asked).toEqual(["/path?x=1", `bundles.partner.example:${port}`]);
    expect(await reasonOf(webbed(port, `https://other.partner.example:${port}/`)), "another name").toBe("identity");
    expect(await reasonOf(webbed(port, `https://127.0.0.1:${port}/`)), "an address that is not in the certificate").toBe("identity");
    expect(await reasonOf({ ...webbed(port), endpoint: { profile: "https_web" } }), "the web's roots").toBe("identity");
  });

  it("takes the trust domain from the question, never from the document", async () => {
    const other = createDomainFixture("other.example", systemClock.nowMs());
    const port = await serve(asEndpoint(), document(encodeBundle(other.bundle)));
    expect(await fetch(spiffe(port))).toMatchObject({ kind: "failed", reason: "document", message: expect.stringContaining("belongs to another trust domain") as string });
  });

  it("follows no redirect, and takes no answer but 200", async () => {
    let followed = 0;
    const target = await serve(asEndpoint(), (_request, response) => {
      followed++;
      response.end(encodeBundle(partner.bundle));
    });
    const port = await serve(asEndpoint(), (_request, response) => response.writeHead(302, { location: `https://127.0.0.1:${target}/` }).end());
    expect(await fetch(spiffe(port))).toMatchObject({ kind: "failed", reason: "answer", message: "it answered with status 302, and redirects are not followed" });
    expect(followed).toBe(0);
    for (const status of [204, 404, 500]) expect(await reasonOf(spiffe(await serve(asEndpoint(), (_request, response) => response.writeHead(status).end())))).toBe("answer");
  });

  it("reads no document beyond its bound, told or not", async () => {
    const filler = (bytes: number): string => encodeBundle(partner.bundle).replace("{", `{"filler":"${"x".repeat(bytes)}",`);
    const told = await serve(asEndpoint(), document(filler(federatedBundleBytesMax)));
    expect(await reasonOf(spiffe(told))).toBe("size");
    const endless = await serve(asEndpoint(), (_request, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write("x".repeat(4_096)));
      };
      response.on("drain", write);
      write();
    });
    expect(await reasonOf(spiffe(endless))).toBe("size");
    expect(await reasonOf(spiffe(await serve(asEndpoint(), document(filler(1_000)))))).toBe("fetched");
    expect(await reasonOf(spiffe(await serve(asEndpoint(), (_request, response) => response.writeHead(200, { "x-filler": "x".repeat(fetchLimits.headerBytes) }).end("{}"))))).toBe("answer");
  });

  it("refuses what is no bundle, whatever it is", async () => {
    for (const text of ["", "null", "[]", "{", "<html>", '{"keys":{}}', '{"keys":[],"spiffe_sequence":-1}', '{"keys":[{"use":"x509-svid","kty":"EC","x5c":["AAAA"]}]}']) {
      expect(await reasonOf(spiffe(await serve(asEndpoint(), document(text)))), text).toBe("document");
    }
  });

  it("ends when its time is over, at whatever point the other side stands still", async () => {
    const silent = createTcpServer(() => undefined).listen(0, "127.0.0.1");
    await once(silent, "listening");
    let reached: (() => void) | undefined;
    const started = (): Promise<void> => new Promise((resolve) => (reached = resolve));
    const afterHandshake = await serve(asEndpoint(), () => reached?.());
    const inBody = await serve(asEndpoint(), (_request, response) => {
      response.writeHead(200).write("{");
      reached?.();
    });
    silent.on("connection", () => reached?.());
    for (const port of [(silent.address() as AddressInfo).port, afterHandshake, inBody]) {
      const clock = new VirtualClock(systemClock.nowMs());
      const here = started();
      const outcome = fetch(spiffe(port), { clock });
      await here;
      await clock.advance(fetchLimits.timeoutMs);
      expect(await outcome).toMatchObject({ kind: "failed", reason: "time" });
    }
    silent.close();
  });

  it("goes on to the next address where one cannot be reached, and not where somebody answers", async () => {
    const port = await serve(asWeb(), document());
    expect(await reasonOf(webbed(port), { lookup: async () => found("127.0.0.9", "127.0.0.1") })).toBe("fetched");
    expect(await fetch(webbed(port), { lookup: async () => found("127.0.0.9") })).toMatchObject({ kind: "failed", reason: "unreachable", message: "it cannot be reached (ECONNREFUSED)" });
    expect(await reasonOf(webbed(port), { lookup: async () => ({ v4: none, v6: none }) })).toBe("name");
  });

  it("dials no address that is none of another party's, whatever a name resolves to", async () => {
    const port = await serve(asWeb(), document());
    expect(await reasonOf(webbed(port), { ownAddress: "10.0.0.5" }), "loopback").toBe("address");
    expect(await reasonOf(webbed(port), { lookup: async () => found("169.254.169.254") })).toBe("address");
    expect(await reasonOf(spiffe(port, { url: "https://[::ffff:169.254.169.254]/" }))).toBe("address");
    expect(await reasonOf(webbed(port), { lookup: async () => found("169.254.169.254", "127.0.0.1") })).toBe("fetched");
  });

  it("says nothing of a service that speaks another protocol but that it proves nothing", async () => {
    const plain = createTcpServer((socket) => void socket.end("secret banner\r\n")).listen(0, "127.0.0.1");
    await once(plain, "listening");
    const outcome = await fetch(spiffe((plain.address() as AddressInfo).port));
    expect(outcome).toMatchObject({ kind: "failed", reason: "identity" });
    expect(JSON.stringify(outcome)).not.toContain("secret");
    plain.close();
  });
});
