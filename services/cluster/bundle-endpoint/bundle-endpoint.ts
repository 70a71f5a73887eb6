import { constants } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContextOptions } from "node:tls";
import type { Registry } from "prom-client";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { answerBundleRequest, createBundleDocument, type BundleDocument } from "./bundle-answer.ts";
import { ConnectionGate } from "./connection-gate.ts";
import { addBundleEndpointMetrics, type BundleEndpointMetrics, type EndpointRefusal } from "./endpoint-metrics.ts";
import type { CertificateSource, ShownCertificate } from "./shown-certificate.ts";

/** How an endpoint stands, as its plane's status says it. */
export type BundleEndpointRow = NonNullable<ClusterStatus["bundleEndpoint"]>;

/** Bounds of one connection: handshake, request and answer together, whatever its peer does or does not do. */
export const endpointLimits = { connectionMs: 20_000, headBytes: 8 * 1024 } as const;

export interface BundleEndpointOptions {
  readonly profile: BundleEndpointRow["profile"];
  /** A literal IP address. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly bundle: Watched<TrustBundle>;
  readonly source: CertificateSource;
  readonly registry: Registry;
  readonly clock: Clock;
}

/**
 * Serves a trust domain's bundle to whoever asks, by the SPIFFE Federation standard. It takes what the plane has in its files, and no store,
 * no bus and no other plane.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Federation.md
 */
export class BundleEndpoint implements AsyncDisposable {
  readonly #options: BundleEndpointOptions;
  readonly #gate: ConnectionGate;
  readonly #metrics: BundleEndpointMetrics;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #made: { readonly bundle: TrustBundle; readonly document: BundleDocument } | undefined;

  private constructor(options: BundleEndpointOptions) {
    const { source, registry, clock } = options;
    this.#options = options;
    this.#gate = new ConnectionGate(clock);
    this.#metrics = addBundleEndpointMetrics(registry, () => ({ connections: this.#gate.connections, sequence: options.bundle.current.sequence, certificateEndMs: source.certificate.current?.notAfterMs ?? 0 }));
    this.#server = createServer({ ...contextOf(source.certificate.current), ALPNProtocols: ["http/1.1"], maxHeaderSize: endpointLimits.headBytes }, (request, response) => this.#answer(request, response));
    this.#server.on("connection", (socket: Socket) => this.#admit(socket));
    this.#server.on("tlsClientError", (error: NodeJS.ErrnoException) => {
      // One that went away, or was cut when its time was over, is counted there or nowhere.
      if (error.code !== "ECONNRESET") this.#refuse("handshake");
    });
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#answerNonsense(error, socket));
  }

  /** @throws {ATOLL_PORT_TAKEN} */
  static async open(options: BundleEndpointOptions): Promise<BundleEndpoint> {
    const endpoint = new BundleEndpoint(options);
    await listen(endpoint.#server, { host: options.address, port: options.port });
    return endpoint;
  }

  get port(): number {
    return portOf(this.#server);
  }

  get standing(): BundleEndpointRow {
    const { profile, bundle, source } = this.#options;
    const { notAfterMs } = source.certificate.current ?? {};
    return { profile, port: this.port, sequence: bundle.current.sequence, ...(notAfterMs === undefined ? {} : { certificateNotAfterMs: notAfterMs }), ...(source.fault === undefined ? {} : { fault: source.fault }) };
  }

  /** Keeps the certificate current, and shows the newest one, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { source } = this.#options;
    await runTasks(
      [
        (inner) => source.run(inner),
        async (inner) => {
          // One that has ended stays: whoever asks refuses it by himself, and says why.
          for await (const current of source.certificate.changes(inner)) if (current !== undefined) this.#server.setSecureContext(contextOf(current));
        },
      ],
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = closeServer(this.#server);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const refusal = this.#gate.enter(address);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const timer = this.#options.clock.schedule(endpointLimits.connectionMs, () => {
      this.#refuse("time");
      socket.destroy();
    });
    socket.once("close", () => {
      timer[Symbol.dispose]();
      this.#sockets.delete(socket);
      this.#gate.leave(address);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { status, headers, body } = answerBundleRequest({ method: request.method ?? "", target: request.url ?? "", ifNoneMatch: request.headers["if-none-match"] }, this.#document());
    this.#metrics.answers.inc({ status });
    // One request a connection: what is open is what is being answered, and one bound holds for both.
    response.writeHead(status, { ...headers, connection: "close" }).end(body);
  }

  #document(): BundleDocument {
    const bundle = this.#options.bundle.current;
    if (this.#made?.bundle !== bundle) this.#made = { bundle, document: createBundleDocument(bundle) };
    return this.#made.document;
  }

  #answerNonsense(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    this.#refuse("request");
    const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }

  #refuse(reason: EndpointRefusal): void {
    this.#metrics.refused.inc({ reason });
  }
}

/** Mozilla's intermediate profile. @see https://wiki.mozilla.org/Security/Server_Side_TLS */
const ciphers = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** TLS 1.2 at least, as the standard asks: others' clients come here. Without a certificate, every handshake fails. */
function contextOf(certificate: ShownCertificate | undefined): SecureContextOptions {
  return {
    ...(certificate === undefined ? {} : { cert: certificate.certificateChainPem, key: certificate.privateKeyPem }),
    minVersion: "TLSv1.2",
    ciphers,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}
