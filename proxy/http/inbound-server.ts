import { DeadlineStage } from "./deadline-stage.ts";
import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { SpiffeId } from "#federation/model/names.ts";
import { createAuthorizeStage, createCircuitStage, createHeaderStage, createRouteStage, requestsInFlightMax } from "./edge-stages.ts";
import type { Route } from "./exchange.ts";
import { ForwardStage } from "./forward-stage.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { HttpServer } from "./http-server.ts";
import type { EdgeOptions } from "./outbound-server.ts";

/** What the inbound HTTP side needs. */
export interface InboundServerOptions extends EdgeOptions {
  /** The route to the app behind the port that a server name means; undefined when there is none (404). */
  readonly findRoute: (sni: string) => Route | undefined;
  /** Whether this caller may call that port now. */
  readonly isAllowed: (sni: string, callerId: SpiffeId) => boolean;
  /** Our own identity, for x-forwarded-client-cert. */
  readonly ownIdentity: () => SpiffeId | "";
}

/** A caller whose handshake was verified, as the listener hands it over. */
export interface VerifiedCaller {
  readonly callerId: SpiffeId;
  /** Its leaf, DER. */
  readonly certificate: Buffer;
  readonly sni: string;
}

/** The HTTP behind a sidecar's mTLS port: the listener terminates TLS and hands each connection over. */
export class InboundServer {
  readonly http: HttpServer;
  readonly #ownIdentity: () => SpiffeId | "";

  constructor(options: InboundServerOptions) {
    const { clock, random, wheel, telemetry } = options;
    const limits = options.httpLimits ?? defaultHttpLimits;
    this.#ownIdentity = options.ownIdentity;
    this.http = new HttpServer({
      ...options,
      logsFields: telemetry.logsFields,
      stages: [
        telemetry,
        createRouteStage((x) => options.findRoute(x.sni)),
        createAuthorizeStage((x) => x.callerId !== "" && options.isAllowed(x.sni, x.callerId)),
        new DeadlineStage(wheel, clock),
        createHeaderStage(random),
        createCircuitStage(options.requestsInFlightMax ?? requestsInFlightMax),
        new ForwardStage({ clock, wheel, limits }),
      ],
    });
  }

  /** Serves a connection whose caller is known. */
  serve(socket: TLSSocket, caller: VerifiedCaller): void {
    this.http.accept(socket, { callerId: caller.callerId, sni: caller.sni, forwardedClientCert: forwardedClientCert(this.#ownIdentity(), caller) });
  }

  /** Lets requests under way finish until `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.http.drain(signal);
  }
}

/**
 * The caller as its handshake showed it; made once for each connection.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
 */
export function forwardedClientCert(by: string, caller: Pick<VerifiedCaller, "callerId" | "certificate">): string {
  const hash = createHash("sha256").update(caller.certificate).digest("hex");
  return `By=${by};Hash=${hash};URI=${caller.callerId}`;
}
