import { connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { parseSpiffeId } from "#federation/model/spiffe-id.ts";
import { createAnchors } from "./anchors.ts";
import { createPinnedBundle, fetchPinnedRoot } from "./first-contact.ts";
import { createDomainFixture } from "./identity-fixture.ts";
import { sha256Hex } from "./key-pair.ts";
import { fetchMeshJson, sendMeshRequest } from "./mesh-request.ts";
import type { X509Svid } from "./svid.ts";
import { acceptExactly, acceptTrustDomain, createClientTlsOptions, createServerContextOptions, createServerTlsOptions } from "./tls-options.ts";
import { handshakeFault, verifyPeer, type PeerVerdict } from "./verify-peer.ts";

const shop = createDomainFixture("shop.example", systemClock.nowMs());
const pay = createDomainFixture("pay.example", systemClock.nowMs());
const storefront = "spiffe://shop.example/ns/web/sa/storefront";
const payments = "spiffe://pay.example/ns/core/sa/payments";
const never = new AbortController().signal;

interface Outcome {
  /** "greeted", or how the connection ended. */
  readonly client: string;
  readonly server: PeerVerdict | { readonly kind: "handshake"; readonly reason: string };
}

/** One real handshake; the server greets whom it accepts, so that "greeted" proves both directions. */
async function shakeHands(serverOptions: TlsOptions, accept: (id: SpiffeId) => boolean, client: Parameters<typeof createClientTlsOptions>[0]): Promise<Outcome> {
  const server = createServer(serverOptions);
  const judged = new Promise<Outcome["server"]>((resolve) => {
    server.on("tlsClientError", (error, socket) => resolve({ kind: "handshake", reason: handshakeFault(error, socket) }));
    server.on("secureConnection", (socket: TLSSocket) => {
      const verdict = verifyPeer(socket, accept);
      resolve(verdict);
      socket.on("error", () => socket.destroy());
      if (verdict.kind === "accepted") socket.end("hello");
      else socket.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ ...createClientTlsOptions(client), host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  const seen = await new Promise<string>((resolve) => {
    socket.on("data", () => resolve("greeted"));
    socket.on("error", (error) => resolve(codeOf(error)));
    socket.on("close", () => resolve("closed"));
  });
  const verdict = await judged;
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  return { client: seen, server: verdict };
}

function codeOf(error: Error): string {
  const code = "code" in error ? String(error.code) : "UNSPECIFIED";
  return code === "UNSPECIFIED" ? error.message : code;
}

/** Node has no name of its own for OpenSSL's "permitted subtree violation" on a server. */
const permittedViolation = "UNSPECIFIED";

const bothAnchors = createAnchors([pay.bundle, shop.bundle]);

function serverOf(svid: X509Svid): TlsOptions {
  return createServerTlsOptions({ svid, anchors: bothAnchors }, { clients: "required" });
}

test.each(["root", "intermediate"] as const)("callers of both trust domains are accepted as who they are (signed by the %s)", async (via) => {
  for (const [domain, id] of [[shop, storefront], [pay, "spiffe://pay.example/ns/core/sa/ledger"]] as const) {
    const outcome = await shakeHands(serverOf(pay.issue(payments, via)), () => true, {
      svid: domain.issue(id, via),
      anchors: createAnchors([pay.bundle]),
      servername: "p80.payments.core.svc.pay.example",
      accept: acceptExactly([parseSpiffeId(payments)]),
    });
    expect(outcome).toEqual({ client: "greeted", server: { kind: "accepted", spiffeId: id } });
  }
});

test.each(["root", "intermediate"] as const)("a server that trusts A and B refuses in the handshake whoever was signed by one and claims the other (%s)", async (via) => {
  for (const [signer, claim] of [[pay, storefront], [shop, payments]] as const) {
    const outcome = await shakeHands(serverOf(pay.issue(payments, via)), () => true, {
      svid: signer.issue(claim, via),
      anchors: createAnchors([pay.bundle]),
      accept: acceptExactly([parseSpiffeId(payments)]),
    });
    expect(outcome.client).not.toBe("greeted");
    expect(outcome.server).toEqual({ kind: "handshake", reason: permittedViolation });
  }
});

test("the same forgery passes under a plain union of roots, so it is the anchors that refuse it", async () => {
  const forged = { svid: pay.issue(storefront, "root"), anchors: createAnchors([pay.bundle]), accept: () => true };
  const union = { ...serverOf(pay.issue(payments)), ca: [shop.root.certificatePem, pay.root.certificatePem] };
  expect(await shakeHands(union, () => true, forged)).toEqual({ client: "greeted", server: { kind: "accepted", spiffeId: storefront } });
});

test.each(["root", "intermediate"] as const)("a client refuses a server signed by B that claims A, whether it holds A's anchor or both (%s)", async (via) => {
  for (const [signer, claim, own] of [[pay, storefront, shop], [shop, payments, pay]] as const) {
    const cases = [
      [createAnchors([own.bundle]), /permitted subtree violation|UNABLE_TO_|SELF_SIGNED/],
      [createAnchors([shop.bundle, pay.bundle]), /permitted subtree violation/],
    ] as const;
    for (const [anchors, reason] of cases) {
      const outcome = await shakeHands(serverOf(signer.issue(claim, via)), () => true, {
        svid: shop.issue(storefront, via),
        anchors,
        accept: acceptExactly([parseSpiffeId(claim)]),
      });
      expect(outcome.client).toMatch(reason);
    }
  }
});

test("a foreign root sent along in the chain gains nothing", async () => {
  const forged = pay.issue(storefront, "root");
  const outcome = await shakeHands(serverOf(pay.issue(payments)), () => true, {
    svid: { ...forged, certificateChainPem: forged.certificateChainPem + pay.root.certificatePem + shop.root.certificatePem },
    anchors: createAnchors([pay.bundle]),
    accept: acceptExactly([parseSpiffeId(payments)]),
  });
  expect(outcome.client).not.toBe("greeted");
  expect(outcome.server.kind).toBe("handshake");
});

test("a genuine identity that is not the expected one is refused by either side", async () => {
  const client = { svid: shop.issue(storefront), anchors: createAnchors([pay.bundle]) };
  const byClient = await shakeHands(serverOf(pay.issue("spiffe://pay.example/ns/core/sa/other")), () => true, { ...client, accept: acceptExactly([parseSpiffeId(payments)]) });
  expect(byClient.client).toBe("ATOLL_PEER_UNVERIFIED");
  const byServer = await shakeHands(serverOf(pay.issue(payments)), acceptTrustDomain(pay.name), { ...client, accept: acceptExactly([parseSpiffeId(payments)]) });
  expect(byServer.server).toEqual({ kind: "refused", reason: expect.stringContaining(storefront) });
  expect(byServer.client).not.toBe("greeted");
});

test("a client without a certificate, or from a domain without an anchor, fails the handshake", async () => {
  const stranger = createDomainFixture("stranger.example", systemClock.nowMs());
  for (const svid of [undefined, stranger.issue("spiffe://stranger.example/x"), stranger.issue(storefront)]) {
    const outcome = await shakeHands(serverOf(pay.issue(payments)), () => true, {
      ...(svid === undefined ? {} : { svid }),
      anchors: createAnchors([pay.bundle]),
      accept: acceptExactly([parseSpiffeId(payments)]),
    });
    expect(outcome.client).not.toBe("greeted");
    expect(outcome.server.kind).toBe("handshake");
  }
});

test("an expired SVID opens nothing", async () => {
  const old = createDomainFixture("shop.example", systemClock.nowMs() - 10 * 3_600_000);
  const outcome = await shakeHands(createServerTlsOptions({ svid: pay.issue(payments), anchors: createAnchors([old.bundle]) }, { clients: "required" }), () => true, {
    svid: old.issue(storefront),
    anchors: createAnchors([pay.bundle]),
    accept: acceptExactly([parseSpiffeId(payments)]),
  });
  expect(outcome.server).toEqual({ kind: "handshake", reason: "CERT_HAS_EXPIRED" });
});

test("sessions are never resumed, and a client still learns by a ticket that it was accepted", async () => {
  const server = createServer(serverOf(pay.issue(payments)), (socket) => {
    socket.on("error", () => socket.destroy());
    socket.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const dial = (session?: Buffer): TLSSocket =>
    connect({
      ...createClientTlsOptions({ svid: shop.issue(storefront), anchors: createAnchors([pay.bundle]), accept: () => true }),
      host: "127.0.0.1",
      port: (server.address() as AddressInfo).port,
      ...(session === undefined ? {} : { session }),
    });
  const first = dial();
  const [session] = (await once(first, "session")) as [Buffer];
  first.destroy();
  const second = dial(session);
  await once(second, "secureConnect");
  expect(second.isSessionReused()).toBe(false);
  second.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test("a swapped secure context judges the next connection by its own anchors", async () => {
  const server = createServer(createServerTlsOptions({ svid: pay.issue(payments), anchors: createAnchors([pay.bundle]) }, { clients: "required" }));
  const verdicts: string[] = [];
  server.on("tlsClientError", () => verdicts.push("refused"));
  server.on("secureConnection", (socket) => {
    verdicts.push("accepted");
    socket.on("error", () => socket.destroy());
    socket.end("x");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const dial = async (): Promise<void> => {
    const socket = connect({
      ...createClientTlsOptions({ svid: shop.issue(storefront), anchors: createAnchors([pay.bundle]), accept: () => true }),
      host: "127.0.0.1",
      port: (server.address() as AddressInfo).port,
    });
    socket.on("error", () => socket.destroy());
    socket.resume();
    await once(socket, "close");
  };
  await dial();
  server.setSecureContext(createServerContextOptions({ svid: pay.issue(payments), anchors: bothAnchors }));
  await dial();
  server.setSecureContext(createServerContextOptions({ svid: pay.issue(payments), anchors: createAnchors([]) }));
  await dial();
  expect(verdicts).toEqual(["refused", "accepted", "refused"]);
  await new Promise((resolve) => server.close(resolve));
});

test("an HTTPS request goes to the expected identity only, and is bounded", async () => {
  const server = createHttpsServer(serverOf(pay.issue(payments)), (request, response) => {
    if (request.url === "/big") {
      response.end(Buffer.alloc(5_000));
      return;
    }
    const verdict = verifyPeer(request.socket as TLSSocket, () => true);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ verdict, method: request.method }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tls = { svid: shop.issue(storefront), anchors: createAnchors([pay.bundle]), accept: acceptExactly([parseSpiffeId(payments)]) };
  expect(await fetchMeshJson({ url: `${url}/x`, json: { a: 1 }, tls }, never)).toEqual({ status: 200, json: { verdict: { kind: "accepted", spiffeId: storefront }, method: "POST" } });
  await expect(sendMeshRequest({ url: `${url}/big`, responseLimitBytes: 1_000, tls }, never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
  await expect(sendMeshRequest({ url, tls: { ...tls, accept: () => false } }, never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNVERIFIED" });
  await expect(sendMeshRequest({ url, tls: { ...tls, anchors: createAnchors([shop.bundle]) } }, never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNVERIFIED" });
  await expect(sendMeshRequest({ url, tls }, AbortSignal.abort())).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await expect(sendMeshRequest({ url, tls }, never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
});

test.each(["root", "intermediate"] as const)("first contact finds the pinned root in the shown chain and nothing else (%s)", async (via) => {
  const plane = pay.issue("spiffe://pay.example/atoll/plane/global", via);
  const server = createServer(createServerTlsOptions({ svid: plane, anchors: createAnchors([]) }, { clients: "none", presentedRoot: pay.root.certificateDer }), (socket) => {
    socket.on("error", () => socket.destroy());
    socket.end("x");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const root = await fetchPinnedRoot(address, sha256Hex(pay.root.certificateDer), never);
  expect(root.equals(pay.root.certificateDer)).toBe(true);
  const verified = connect({
    ...createClientTlsOptions({ anchors: createAnchors([createPinnedBundle(root)]), accept: acceptTrustDomain(pay.name) }),
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
  });
  await once(verified, "secureConnect");
  verified.destroy();
  await expect(fetchPinnedRoot(address, sha256Hex(shop.root.certificateDer), never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNVERIFIED" });
  await expect(fetchPinnedRoot(address, sha256Hex(Buffer.from(plane.certificateChainPem)), AbortSignal.abort())).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  await new Promise((resolve) => server.close(resolve));
  await expect(fetchPinnedRoot(address, sha256Hex(pay.root.certificateDer), never)).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
});
