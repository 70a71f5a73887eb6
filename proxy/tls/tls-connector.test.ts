import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { createServerTlsOptions, createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { emptySnapshot } from "../control/snapshot-builder.ts";
import { createTestTrustDomain } from "./identity-fixture.ts";
import { TlsContexts } from "./tls-contexts.ts";
import { createTlsConnector } from "./tls-connector.ts";

const shop = createTestTrustDomain("shop.example");
const own = shop.svid("/ns/web/sa/storefront");
const peer = shop.svid("/ns/web/sa/catalog");

describe("createTlsConnector", () => {
  it("carries what is written the moment the connection is proven, to a server that waits to be spoken to", async () => {
    const server = createServer(createServerTlsOptions(createTlsMaterial(peer, [shop.bundle]), { clients: "required" }), (socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes) => socket.write(bytes));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const snapshot = { ...emptySnapshot, bundles: new Map([[shop.bundle.trustDomain, shop.bundle]]) };
    const connector = createTlsConnector(new TlsContexts(new WatchedValue<X509Svid | undefined>(own), new WatchedValue(snapshot)), { handshakes: 0, failures: 0 });
    const answers = await Promise.all(
      Array.from(
        { length: 10 },
        () =>
          new Promise<string>((resolve) => {
            const socket = connector.connect(
              { address: "127.0.0.1", port: (server.address() as AddressInfo).port, sni: "p80.catalog.web.svc.shop.example", identities: [peer.spiffeId] },
              {
                readBuffer: Buffer.alloc(1_024),
                nextBuffer: () => undefined,
                onReady: () => undefined,
                onProven: () => socket.write("first"),
                onBytes: (length, buffer) => {
                  resolve(buffer.toString("utf8", 0, length));
                  socket.destroy();
                },
              },
            );
            socket.on("error", (error) => resolve(error.message));
          }),
      ),
    );
    server.close();
    expect(new Set(answers)).toEqual(new Set(["first"]));
  });
});
