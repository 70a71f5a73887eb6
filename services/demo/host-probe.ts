import type { Server as HttpServer } from "node:http";
import { connect, createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import { Agent, createServer as createHttpServer, request as httpRequest } from "#federation/runtime/node-http.ts";

const address = "127.0.0.1";
/** So many rounds are under way at once, so that the processor never waits. */
const callersMax = 4;
/** A request passes two mutually authenticated hops. */
const hopsPerRound = 2;
/** A shared key needs no certificate, and what a record costs is the same. Node offers it for TLS 1.2. */
const tlsOptions = { ciphers: "PSK-AES128-GCM-SHA256", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
const sharedKey = Buffer.alloc(16, 1);

const fields = Array.from({ length: 12 }, (_, index) => `x-field-${index}: ${"v".repeat(24)}\r\n`).join("");
const requestBytes = Buffer.from(`GET /items HTTP/1.1\r\n${fields}\r\n`);
const responseBytes = Buffer.from(`HTTP/1.1 200 OK\r\n${fields}\r\n{"items":["reef","lagoon","islet"]}`);

/**
 * Work that resembles what a request through the mesh makes a host do: heads are read and written, records encrypted
 * and decrypted over real sockets, an application answers in JSON. One process's worth, as fast as it goes.
 */
export class HostProbe implements AsyncDisposable {
  readonly #app: HttpServer;
  readonly #hop: TlsServer;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #sockets = new Set<TLSSocket>();
  #isClosed = false;
  #rounds = 0;

  private constructor(app: HttpServer, hop: TlsServer) {
    this.#app = app;
    this.#hop = hop;
  }

  /** Rounds done so far. */
  get rounds(): number {
    return this.#rounds;
  }

  static async open(): Promise<HostProbe> {
    const app = createHttpServer((request, response) => {
      request.resume();
      const body = JSON.stringify({ page: request.url, items: ["reef", "lagoon", "islet"] });
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    });
    const hop = createTlsServer({ ...tlsOptions, pskCallback: () => sharedKey }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes: Buffer) => {
        countFields(bytes);
        socket.write(responseBytes);
      });
    });
    await listen(app, { host: address, port: 0 });
    await listen(hop, { host: address, port: 0 });
    const probe = new HostProbe(app, hop);
    for (let caller = 0; caller < callersMax; caller++) void probe.#call();
    return probe;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    this.#app.closeAllConnections();
    await Promise.all([closeServer(this.#app), closeServer(this.#hop)]);
  }

  async #call(): Promise<void> {
    const socket = await this.#connect();
    while (!this.#isClosed) {
      for (let hop = 0; hop < hopsPerRound; hop++) await this.#overHop(socket);
      await this.#askApp();
      this.#rounds++;
    }
  }

  #connect(): Promise<TLSSocket> {
    return new Promise((resolve) => {
      const pskCallback = (): { readonly psk: Buffer; readonly identity: string } => ({ psk: sharedKey, identity: "probe" });
      const socket = connect({ ...tlsOptions, host: address, port: portOf(this.#hop), checkServerIdentity: () => undefined, pskCallback }, () => resolve(socket));
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      this.#sockets.add(socket);
    });
  }

  #overHop(socket: TLSSocket): Promise<void> {
    return new Promise((resolve) => {
      socket.once("data", (bytes: Buffer) => {
        countFields(bytes);
        resolve();
      });
      socket.write(requestBytes);
    });
  }

  #askApp(): Promise<void> {
    return new Promise((resolve) => {
      const outgoing = httpRequest({ host: address, port: portOf(this.#app), agent: this.#agent, path: "/items" }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.once("end", () => {
          JSON.parse(Buffer.concat(chunks).toString());
          resolve();
        });
      });
      outgoing.on("error", () => resolve());
      outgoing.end();
    });
  }
}

/** Reads a head as a proxy would: every field by its name. */
function countFields(bytes: Buffer): number {
  const names = new Map<string, string>();
  for (const line of bytes.toString("latin1").split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) names.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return names.size;
}
