import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { createAnchors } from "#federation/identity/anchors.ts";
import { acceptExactly, createClientTlsOptions } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { CallerRule, InboundPort, Snapshot } from "#federation/model/snapshot.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { emptySnapshot } from "../control/snapshot-builder.ts";
import { handshakesMax } from "./handshake-gate.ts";
import { createTestTrustDomain } from "./identity-fixture.ts";
import { createInboundStats, InboundListener, isCallerAllowed, refusingRule, type InboundConnection } from "./inbound-listener.ts";
import { TlsContexts } from "./tls-contexts.ts";
import { createTlsConnector } from "./tls-connector.ts";

const shop = createTestTrustDomain("shop.example");
const pay = createTestTrustDomain("pay.example");
const evil = createTestTrustDomain("shop.example");
const server = shop.svid("/ns/web/sa/catalog");
const friend = shop.svid("/ns/web/sa/storefront");
const sni = "p80.catalog.web.svc.shop.example";
const tcpSni = "p90.catalog.web.svc.shop.example";

let svid = new WatchedValue<X509Svid | undefined>(server);
let snapshot = new WatchedValue<Snapshot>(emptySnapshot);
let stats = createInboundStats();
let served: InboundConnection[] = [];
let revoked: SpiffeId[] = [];
let listener: InboundListener;
const sockets: TLSSocket[] = [];

const shopRule: CallerRule = { trustDomain: "shop.example" as TrustDomainName, principals: ["*"] };
const payRule: CallerRule = { trustDomain: "pay.example" as TrustDomainName, principals: ["spiffe://pay.example/ns/core/sa/ledger" as SpiffeId] };

function snapshotWith(callers: readonly CallerRule[]): Snapshot {
  const inbound: InboundPort = {
    ref: { namespace: "web", name: "catalog", trustDomain: "shop.example" as TrustDomainName },
    port: { name: "http", port: 80, protocol: "http" },
    callers,
  };
  const tcp: InboundPort = { ...inbound, port: { name: "tcp", port: 90, protocol: "tcp" } };
  return {
    ...emptySnapshot,
    bundles: new Map([shop.bundle, pay.bundle].map((bundle) => [bundle.trustDomain, bundle])),
    inbound: new Map([
      [sni, inbound],
      [tcpSni, tcp],
    ]),
  };
}

beforeEach(async () => {
  svid = new WatchedValue<X509Svid | undefined>(server);
  snapshot = new WatchedValue<Snapshot>(snapshotWith([shopRule, payRule]));
  stats = createInboundStats();
  served = [];
  revoked = [];
  const contexts = new TlsContexts(svid, snapshot);
  const material = contexts.serverMaterial();
  if (material === undefined) throw new Error("there is an identity");
  listener = await InboundListener.open(
    {
      address: "127.0.0.1",
      port: 0,
      contexts,
      snapshot,
      stats,
      clock: systemClock,
      logger: silentLogger,
      refusedConnectionsMax: 2,
      serve: (connection) => {
        served.push(connection);
        connection.socket.write(`hello ${connection.callerId}`);
        return connection.inbound.port.protocol === "http" ? { revoke: () => void revoked.push(connection.callerId) } : undefined;
      },
    },
    material,
  );
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  listener.close();
  listener.destroyAll();
});

function dial(as: X509Svid, servername = sni): TLSSocket {
  const options = createClientTlsOptions({ svid: as, anchors: createAnchors([shop.bundle]), servername, accept: acceptExactly([server.spiffeId]) });
  const socket = connect({ ...options, host: "127.0.0.1", port: listener.port });
  sockets.push(socket);
  return socket;
}

/** What a caller gets: the greeting, or nothing but an end. */
async function greeting(as: X509Svid, servername = sni): Promise<string> {
  const socket = dial(as, servername);
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString();
    socket.destroy();
  });
  socket.on("error", () => {});
  await once(socket, "close");
  return text;
}

describe("InboundListener", () => {
  it("serves callers while strangers who begin a handshake and say no more hold every turn, and ends none of them before its time", async () => {
    const strangers = Array.from({ length: 2 * handshakesMax }, () => connectTcp(listener.port, "127.0.0.1"));
    let ended = 0;
    try {
      for (const stranger of strangers) {
        stranger.on("error", () => undefined);
        stranger.once("close", () => ended++);
        // The beginning of a ClientHello.
        stranger.write(Buffer.of(22, 3, 1, 0, 100, 1));
      }
      while (stats.handshakes < handshakesMax) await new Promise((resolve) => setImmediate(resolve));
      expect(await greeting(friend)).toBe(`hello ${friend.spiffeId}`);
      expect(ended).toBe(0);
    } finally {
      for (const stranger of strangers) stranger.destroy();
    }
  });

  it("hands over a caller whose rule names it, of one's own domain or a foreign one", async () => {
    expect(await greeting(friend)).toBe(`hello ${friend.spiffeId}`);
    const ledger = pay.svid("/ns/core/sa/ledger");
    expect(await greeting(ledger)).toBe(`hello ${ledger.spiffeId}`);
    expect(served[1]?.callerCertificate.length).toBeGreaterThan(100);
  });

  it("refuses callers outside the rules on TCP ports, unknown names, and identities that are no workloads", async () => {
    expect(await greeting(pay.svid("/ns/core/sa/intruder"), tcpSni)).toBe("");
    expect(await greeting(shop.svid("/atoll/gateway/shop-eu"), tcpSni)).toBe("");
    expect(stats.refused.get("callerRefused")).toBe(2);
    expect(await greeting(friend, "p81.catalog.web.svc.shop.example")).toBe("");
    expect(stats.refused.get("unknownName")).toBe(1);
  });

  it("hands over callers outside the rules on HTTP ports, to be told so, a few at a time", async () => {
    const intruder = pay.svid("/ns/core/sa/intruder");
    const kept = [dial(intruder), dial(shop.svid("/atoll/gateway/shop-eu"))];
    await Promise.all(kept.map((socket) => once(socket, "data")));
    expect([stats.refusedOpen, stats.refused.size]).toEqual([2, 0]);
    expect(await greeting(intruder)).toBe("");
    expect(stats.refused.get("callerRefused")).toBe(1);
    // A right that comes, and a connection that goes, each make room.
    snapshot.set(snapshotWith([shopRule, { trustDomain: payRule.trustDomain, principals: ["*"] }]));
    listener.refresh();
    expect(stats.refusedOpen).toBe(1);
    const refused = served.find((connection) => connection.callerId.endsWith("/atoll/gateway/shop-eu"))?.socket;
    const closed = refused === undefined ? undefined : once(refused, "close");
    refused?.destroy();
    await closed;
    expect(stats.refusedOpen).toBe(0);
    expect(revoked).toEqual([]);
  });

  it("fails the handshake of a certificate that claims a domain whose root did not sign it", async () => {
    expect(await greeting(evil.svid("/ns/web/sa/storefront"))).toBe("");
    const impostor = createTestTrustDomain("other.example").svid("/ns/web/sa/storefront");
    expect(await greeting(impostor)).toBe("");
    expect(stats.refused.get("handshake")).toBe(2);
    expect(served).toEqual([]);
  });

  it("shows a renewed identity to new connections and keeps the open ones", async () => {
    const open = dial(friend);
    await once(open, "data");
    const renewed = shop.svid("/ns/web/sa/catalog");
    svid.set(renewed);
    listener.refresh();
    const fresh = dial(friend);
    await once(fresh, "secureConnect");
    const serialOf = (socket: TLSSocket): string | undefined => socket.getPeerX509Certificate()?.serialNumber;
    expect(serialOf(fresh)).not.toBe(serialOf(open));
    expect(open.destroyed).toBe(false);
  });

  it("cuts off exactly the callers that a new snapshot no longer names, or has them told", async () => {
    const ledger = dial(pay.svid("/ns/core/sa/ledger"), tcpSni);
    const storefront = dial(friend, tcpSni);
    const toHttp = dial(pay.svid("/ns/core/sa/ledger"));
    await Promise.all([ledger, storefront, toHttp].map((socket) => once(socket, "data")));
    const cut = once(ledger, "error");
    snapshot.set(snapshotWith([shopRule]));
    listener.refresh();
    expect(await cut).toMatchObject([{ code: "ECONNRESET" }]);
    expect(storefront.destroyed).toBe(false);
    expect(toHttp.destroyed).toBe(false);
    expect(revoked).toEqual(["spiffe://pay.example/ns/core/sa/ledger"]);
    expect([stats.revoked, stats.refusedOpen]).toEqual([2, 1]);
    // Told once.
    listener.refresh();
    expect([stats.revoked, revoked.length]).toEqual([2, 1]);
  });

  it("resets connections while it has no identity", async () => {
    svid.set(undefined);
    const socket = connectTcp(listener.port, "127.0.0.1");
    expect(await once(socket, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(stats.refused.get("noIdentity")).toBe(1);
  });
});

describe("createTlsConnector", () => {
  const attempt = (as: X509Svid, identities: readonly SpiffeId[]): Promise<string[]> => {
    const events: string[] = [];
    const connector = createTlsConnector(new TlsContexts(new WatchedValue<X509Svid | undefined>(as), snapshot), { handshakes: 0, failures: 0 });
    return new Promise((resolve) => {
      const socket = connector.connect(
        { address: "127.0.0.1", port: listener.port, sni, identities },
        {
          readBuffer: Buffer.alloc(1_024),
          nextBuffer: () => undefined,
          onReady: () => events.push("ready"),
          onProven: () => events.push("proven"),
          onBytes: (length, buffer) => {
            events.push(buffer.toString("utf8", 0, length));
            socket.destroy();
          },
        },
      );
      socket.on("error", () => events.push("error"));
      socket.on("end", () => socket.destroy());
      socket.on("close", () => resolve(events));
    });
  };

  it("is proven by the server's first sign of life and reads into its buffer", async () => {
    expect(await attempt(friend, [server.spiffeId])).toEqual(["ready", "proven", `hello ${friend.spiffeId}`]);
  });

  it("refuses a server that is not exactly whom it expects", async () => {
    expect(await attempt(friend, ["spiffe://shop.example/ns/web/sa/other" as SpiffeId])).toEqual(["error"]);
    expect(await attempt(friend, ["spiffe://pay.example/ns/web/sa/catalog" as SpiffeId])).toEqual(["error"]);
  });

  it("is never proven to a server that refuses us", async () => {
    expect(await attempt(evil.svid("/ns/web/sa/storefront"), [server.spiffeId])).not.toContain("proven");
  });

  it("fails at once where no bundle says whom to believe", async () => {
    expect(await attempt(friend, ["spiffe://unknown.example/ns/web/sa/catalog" as SpiffeId])).toEqual(["error"]);
  });
});

test("a refusal says which rule it comes from", () => {
  const rules = [payRule];
  expect(refusingRule(rules, "spiffe://shop.example/ns/a/sa/b" as SpiffeId)).toBe("no rule names shop.example");
  expect(refusingRule(rules, "spiffe://pay.example/ns/a/sa/b" as SpiffeId)).toBe("the rule for pay.example names other workloads");
  expect(refusingRule(rules, "spiffe://pay.example/atoll/gateway/x" as SpiffeId)).toBe("an identity of the mesh itself is no workload");
});

describe("isCallerAllowed", () => {
  it("means workloads by a star, and never a longer domain", () => {
    expect(isCallerAllowed([shopRule], "spiffe://shop.example/ns/a/sa/b" as SpiffeId)).toBe(true);
    expect(isCallerAllowed([shopRule], "spiffe://shop.example.evil/ns/a/sa/b" as SpiffeId)).toBe(false);
    expect(isCallerAllowed([shopRule], "spiffe://shop.example/atoll/gateway/x" as SpiffeId)).toBe(false);
    expect(isCallerAllowed([], "spiffe://shop.example/ns/a/sa/b" as SpiffeId)).toBe(false);
  });
});
