import { DeadlineStage } from "./deadline-stage.ts";
import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { SpiffeId } from "#federation/model/names.ts";
import { defaultPriority } from "#federation/model/priority-class.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { AdmissionStage } from "../admission/admission-stage.ts";
import type { LoadReport } from "../admission/load-report.ts";
import { defaultHopLimits, hopProtocol } from "../hop/frames.ts";
import type { HopLimits } from "../hop/frames.ts";
import { HopServer } from "../hop/hop-server.ts";
import { createAuthorizeStage, createDrainStage, createHeaderStage, createRouteStage } from "./edge-stages.ts";
import type { Route, Stage } from "./exchange.ts";
import type { RefusingServer } from "../tls/inbound-listener.ts";
import { ForwardStage } from "./forward-stage.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { HttpServer } from "./http-server.ts";
import { PriorityStage } from "./priority-stage.ts";
import type { EdgeOptions } from "./outbound-server.ts";

/** What the inbound HTTP side needs. */
export interface InboundServerOptions extends EdgeOptions {
  /** The route to the app behind the port that a server name means; undefined when there is none (404). */
  readonly findRoute: (sni: string) => Route | undefined;
  /** Whether this caller may call that port now. */
  readonly isAllowed: (sni: string, callerId: SpiffeId) => boolean;
  /** The rule that refuses a caller that may not, in words for the log. */
  readonly refusedBy?: (sni: string, callerId: SpiffeId) => string;
  /** Our own identity, for x-forwarded-client-cert. */
  readonly ownIdentity: () => SpiffeId | "";
  /** Which instance of its services this is, for callers that share their load over instances. */
  readonly instance: string;
  /** The load of the application behind the port that a server name means. */
  readonly reportOf: (sni: string) => LoadReport;
  readonly hopLimits?: HopLimits;
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
  readonly hop: HopServer;
  readonly priorities = new PriorityStage();
  readonly #reportOf: (sni: string) => LoadReport;
  readonly #ownIdentity: () => SpiffeId | "";

  constructor(options: InboundServerOptions) {
    const { clock, random, wheel, telemetry } = options;
    const limits = options.httpLimits ?? defaultHttpLimits;
    this.#ownIdentity = options.ownIdentity;
    this.#reportOf = options.reportOf;
    const stages: readonly Stage[] = [
        telemetry,
        createRouteStage((x) => options.findRoute(x.sni)),
        this.priorities,
        ...(options.guard === undefined ? [] : [options.guard]),
        createDrainStage(),
        createAuthorizeStage(
          (x) => x.callerId !== "" && options.isAllowed(x.sni, x.callerId),
          (x) => (x.callerId === "" ? "" : (options.refusedBy?.(x.sni, x.callerId) ?? "")),
        ),
        new DeadlineStage(wheel, clock),
        createHeaderStage(random),
        new AdmissionStage(clock, wheel),
        new ForwardStage({ clock, wheel, limits }),
    ];
    const { logsFields } = telemetry;
    this.http = new HttpServer({ ...options, logsFields, stages });
    this.hop = new HopServer({ stages, clock, wheel, logsFields, httpLimits: limits, hopLimits: options.hopLimits ?? defaultHopLimits, instance: options.instance });
  }

  /** Serves a connection whose caller is known, in the protocol that its handshake chose. Undefined when there are too many. */
  serve(socket: TLSSocket, caller: VerifiedCaller): RefusingServer | undefined {
    const ownIdentity = this.#ownIdentity();
    const { callerId, sni } = caller;
    // The highest class is for one's own trust domain to claim.
    const isOwn = ownIdentity !== "" && trustDomainOf(callerId) === trustDomainOf(ownIdentity);
    const identity = { callerId, sni, forwardedClientCert: forwardedClientCert(ownIdentity, caller), priorityMin: isOwn ? 0 : defaultPriority };
    if (socket.alpnProtocol !== hopProtocol) return this.http.accept(socket, identity);
    return this.hop.accept(socket, { identity, report: () => this.#reportOf(sni) });
  }

  /** Lets requests under way finish until `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    await Promise.all([this.http.drain(signal), this.hop.drain(signal)]);
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
