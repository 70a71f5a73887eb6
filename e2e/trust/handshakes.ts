import { once } from "node:events";
import { createServer as createRelay, connect as connectPlain, type AddressInfo, type Server as Relay } from "node:net";
import { connect, createServer, type ConnectionOptions, type Server, type TLSSocket } from "node:tls";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createClientTlsOptions, createServerContextOptions, createServerTlsOptions, type AcceptIdentity } from "#federation/identity/tls-options.ts";
import { handshakeFault, verifyPeer } from "#federation/identity/verify-peer.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { Verifier } from "./verifier.ts";

/** What became of a peer, and who decided: OpenSSL in the handshake, or what JavaScript reads of the leaf and expects. */
export interface Outcome {
  readonly isAccepted: boolean;
  readonly decidedBy: "handshake" | "reading";
  readonly reason: string;
}

/** How the two reach each other. */
export interface Way {
  readonly session?: Buffer | undefined;
  /** Through a hop that passes bytes on, as gateways do with what is inside their tunnels. */
  readonly isRelayed: boolean;
}

/** Two listeners on loopback ports: one judges its callers by a verifier, the other shows its callers whatever is asked of it. */
export class Handshakes implements AsyncDisposable {
  readonly #verifier: Verifier;
  readonly #judging: Server;
  readonly #showing: Server;
  readonly #relays = new Map<Server, Relay>();
  #accept: AcceptIdentity = () => false;
  #judged: (outcome: Outcome) => void = () => undefined;

  private constructor(verifier: Verifier) {
    this.#verifier = verifier;
    const material = verifier.serverMaterial();
    this.#judging = createServer({ ...createServerTlsOptions(material, { clients: "required" }), ...verifier.listening });
    this.#showing = createServer(createServerTlsOptions(material, { clients: "none" }));
    this.#judging.on("tlsClientError", (error, socket) => this.#judged({ isAccepted: false, decidedBy: "handshake", reason: handshakeFault(error, socket) }));
    this.#judging.on("secureConnection", (socket) => {
      const verdict = verifyPeer(socket, verifier.acceptOf(this.#accept), verifier.readLeaf);
      socket.on("error", () => socket.destroy());
      this.#judged({ isAccepted: verdict.kind === "accepted", decidedBy: "reading", reason: verdict.kind === "accepted" ? verdict.spiffeId : verdict.reason });
      socket.end("judged");
    });
    this.#showing.on("tlsClientError", () => undefined);
    this.#showing.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      socket.end();
    });
  }

  static async open(verifier: Verifier): Promise<Handshakes> {
    const handshakes = new Handshakes(verifier);
    for (const server of [handshakes.#judging, handshakes.#showing]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const relay = createRelay((inner) => {
        const outer = connectPlain(portOf(server), "127.0.0.1");
        for (const [from, to] of [[inner, outer], [outer, inner]] as const) {
          from.on("error", () => to.destroy());
          from.pipe(to);
        }
      });
      relay.listen(0, "127.0.0.1");
      await once(relay, "listening");
      handshakes.#relays.set(server, relay);
    }
    return handshakes;
  }

  /** The verifier believes other bundles: connections from now on are judged by them. */
  renew(): void {
    this.#judging.setSecureContext(createServerContextOptions(this.#verifier.serverMaterial()));
  }

  /** Has a caller show `svid`. */
  async judgeCaller(svid: X509Svid, accept: AcceptIdentity, way: Way): Promise<Outcome> {
    this.#accept = accept;
    const outcome = new Promise<Outcome>((resolve) => (this.#judged = resolve));
    const socket = connect({ ...trusting(svid), ...this.#address(this.#judging, way) });
    const closed = closing(socket);
    const judged = await outcome;
    socket.destroy();
    await closed;
    return judged;
  }

  /** Has a server of `domain`, as the dialer thinks, show `svid`. */
  async judgeServer(svid: X509Svid, domain: TrustDomainName, accept: AcceptIdentity, way: Way): Promise<Outcome> {
    this.#showing.setSecureContext(createServerContextOptions({ svid, anchors: [] }));
    const socket = connect({ ...this.#verifier.clientOptions(domain, accept), ...this.#address(this.#showing, way) });
    const closed = closing(socket);
    const outcome = await new Promise<Outcome>((resolve) => {
      socket.on("secureConnect", () => resolve({ isAccepted: true, decidedBy: "reading", reason: "" }));
      socket.on("error", (error) => resolve({ isAccepted: false, decidedBy: "code" in error && error.code === "ATOLL_PEER_UNVERIFIED" ? "reading" : "handshake", reason: error.message }));
    });
    socket.destroy();
    await closed;
    return outcome;
  }

  /** What a caller that was accepted got to come back with. @throws where it got nothing */
  async sessionOf(svid: X509Svid): Promise<Buffer> {
    this.#accept = () => true;
    const socket = connect({ ...trusting(svid), ...this.#address(this.#judging, { isRelayed: false }) });
    let session: Buffer | undefined;
    // What it has after the handshake is all there is, unless a ticket follows.
    socket.on("secureConnect", () => (session = socket.getSession()));
    socket.on("session", (offered: Buffer) => (session = offered));
    socket.resume();
    await closing(socket);
    if (session === undefined) throw new Error("a caller was given no session, and has nothing to come back with");
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [server, relay] of this.#relays) for (const one of [relay, server]) await new Promise((resolve) => one.close(resolve));
  }

  #address(server: Server, { session, isRelayed }: Way): { readonly host: string; readonly port: number; readonly session?: Buffer } {
    const listener = isRelayed ? (this.#relays.get(server) ?? server) : server;
    return { host: "127.0.0.1", port: portOf(listener), ...(session === undefined ? {} : { session }) };
  }
}

/** One that takes whatever server there is: it is the one that is judged. */
function trusting(svid: X509Svid): ConnectionOptions {
  return { ...createClientTlsOptions({ svid, anchors: [], accept: () => true }), rejectUnauthorized: false };
}

function portOf(server: Relay | Server): number {
  return (server.address() as AddressInfo).port;
}

async function closing(socket: TLSSocket): Promise<void> {
  socket.on("error", () => socket.destroy());
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}
