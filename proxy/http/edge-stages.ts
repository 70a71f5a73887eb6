import type { Random } from "#federation/runtime/random.ts";
import type { Exchange, Route, Stage, StageResult } from "./exchange.ts";
import { Continue, Reply } from "./exchange.ts";
import { TraceParents } from "./head-fields.ts";

/** Finds the route of a request, or undefined. */
export type RouteFinder = (x: Exchange) => Route | undefined;

/** The request gets its route (outbound by its Host, inbound by its connection), or ends here (404, NR). */
export function createRouteStage(find: RouteFinder): Stage {
  return {
    name: "route",
    request(x) {
      const route = find(x);
      if (route === undefined) return refuse(x, 404, "NR", "no_route");
      x.route = route;
      return Continue;
    },
    response() {},
    end() {},
  };
}

/**
 * Sets the fields that are ours to set. A request has a trace and an id from its first sidecar on, unless its client gave it them: where we
 * begin both they are the same, so that who has one finds the other. The caller's certificate is told only from a handshake; what a client
 * sent under that name was dropped with the hop-by-hop ones.
 */
export function createHeaderStage(random: Random): Stage {
  const traceParents = new TraceParents(random);
  return {
    name: "headers",
    request(x) {
      if (!x.hasTraceparent) beginTrace(x, traceParents.next());
      else if (!x.hasRequestId) giveRequestId(x, traceParents.nextId());
      if (x.clientCertificate !== "") x.requestFields += `x-forwarded-client-cert: ${x.clientCertificate}\r\n`;
      return Continue;
    },
    response() {},
    end() {},
  };
}

function beginTrace(x: Exchange, traceparent: string): void {
  x.requestFields += `traceparent: ${traceparent}\r\n`;
  if (!x.hasRequestId) giveRequestId(x, traceparent.slice(3, 35));
}

function giveRequestId(x: Exchange, id: string): void {
  x.requestId = id;
  x.requestFields += `x-request-id: ${id}\r\n`;
}

/** Bounds the requests in flight to one service: one that has become slow must not hold all memory. */
export function createCircuitStage(inFlightMax: number): Stage {
  return {
    name: "circuit",
    request(x) {
      if (x.route !== undefined && x.route.chooser.inFlight >= inFlightMax) return refuse(x, 503, "UO", "too_many_requests");
      return Continue;
    },
    response() {},
    end() {},
  };
}

/** Envoy's default circuit limit. */
export const requestsInFlightMax = 1024;

/**
 * Inbound: who may call. Asked at each request, so that a withdrawn permission ends on open connections, too. A refusal is
 * an answer: the caller's sidecar would take a lost connection for a broken place, and try the next one.
 */
export function createAuthorizeStage(isAllowed: (x: Exchange) => boolean, refusedBy: (x: Exchange) => string): Stage {
  return {
    name: "authorize",
    request(x) {
      if (isAllowed(x)) return Continue;
      x.refusedBy = refusedBy(x);
      return refuse(x, 403, "UAEX", "caller_not_allowed");
    },
    response() {},
    end() {},
  };
}

/** Inbound: a connection that came while we drain has found the old address. What it asks for is better asked elsewhere. */
export function createDrainStage(): Stage {
  return {
    name: "drain",
    request(x) {
      return x.late ? refuse(x, 503, "UH", "draining") : Continue;
    },
    response() {},
    end() {},
  };
}

function refuse(x: Exchange, status: number, flag: Exchange["flag"], reason: string): StageResult {
  x.status = status;
  x.flag = flag;
  x.reason = reason;
  return Reply;
}
