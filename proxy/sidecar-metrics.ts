import type { Registry } from "prom-client";
import { priorityClasses } from "#federation/model/priority-class.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import { addRequestMetrics, addStallMetrics } from "./admin/metrics.ts";
import { addAdmissionMetrics, addLoopMetrics } from "./admission/admission-metrics.ts";
import { addNameMetrics } from "./control/name-metrics.ts";
import { isDeadline } from "./http/refusal.ts";
import type { TelemetryStage } from "./http/telemetry-stage.ts";
import type { SidecarState } from "./sidecar-state.ts";
import type { UpstreamTarget } from "./upstream/connector.ts";
import { ownFaults } from "./upstream/own-fault.ts";

/** Adds what a sidecar counts to the metrics that every proxy has. */
export function addSidecarMetrics(registry: Registry, state: SidecarState): void {
  addRequestMetrics(registry, [
    ["source", state.outboundTelemetry],
    ["destination", state.inboundTelemetry],
  ]);
  addConnectionMetrics(registry, state);
  addNameMetrics(registry, state.resolver, state.clock);
  addAdmissionMetrics(registry, state.admissions);
  addLoopMetrics(registry, state.loop, { inbound: state.inboundGuard, outbound: state.outboundGuard });
  addCounter(registry, {
    name: "atoll_caller_throttled_total",
    help: "Requests that were refused on the caller's side, because their target refuses most: they cost it nothing. By class.",
    labels: ["class"],
    read: (add) => {
      for (const [at, name] of priorityClasses.entries()) add({ class: name }, state.throttled[at] ?? 0);
    },
  });
  addCounter(registry, {
    name: "atoll_priority_claims_ignored_total",
    help: "Requests whose client claimed a priority class that is unknown, or not its to claim; they were served without it.",
    labels: ["side", "why"],
    read: (add) => {
      for (const [side, { ignored }] of Object.entries(state.priorities)) {
        for (const [why, count] of Object.entries(ignored)) add({ side, why }, count);
      }
    },
  });
  addGauge(registry, {
    name: "atoll_gateway_round_trip_milliseconds",
    help: "Smoothed round trip to a remote gateway.",
    labels: ["destination_cluster", "address"],
    read: (add) => {
      for (const gateway of state.prober.gateways) {
        if (gateway.roundTripMs !== undefined) add(gatewayLabels(gateway), gateway.roundTripMs);
      }
    },
  });
  addCounter(registry, {
    name: "atoll_gateway_pings_total",
    help: "Pings to remote gateways: sent, and connections that broke or stayed unanswered.",
    labels: ["destination_cluster", "address", "result"],
    read: (add) => {
      for (const gateway of state.prober.gateways) {
        add({ ...gatewayLabels(gateway), result: "sent" }, gateway.pings);
        add({ ...gatewayLabels(gateway), result: "broken" }, gateway.unanswered);
      }
    },
  });
  addGauge(registry, {
    name: "atoll_gateway_leaving",
    help: "1 for a remote gateway that has announced its end and that none has replaced yet.",
    labels: ["destination_cluster", "address"],
    read: (add) => {
      for (const gateway of state.prober.gateways) add(gatewayLabels(gateway), gateway.leaving ? 1 : 0);
    },
  });
  addStallMetrics(registry, state.stall);
  addCounter(registry, {
    name: "atoll_access_log_dropped_total",
    help: "Access log lines that did not fit or could not be written.",
    read: (add) => add({}, state.accessLog?.dropped ?? 0),
  });
  addGauge(registry, {
    name: "atoll_access_log_failing",
    help: "1 while the newest lines of the access log cannot be written; they are held up to a bound, and tried again.",
    read: (add) => add({}, state.accessLog?.failure === undefined ? 0 : 1),
  });
  addCounter(registry, {
    name: "atoll_access_log_omitted_total",
    help: "Refusals under overload that got no line of their own, beyond those of a second that did.",
    read: (add) => add({}, state.overloadLines.omitted),
  });
}

function addConnectionMetrics(registry: Registry, state: SidecarState): void {
  addGauge(registry, {
    name: "atoll_connections_active",
    help: "Open connections, by side.",
    labels: ["side"],
    read: (add) => {
      add({ side: "inbound" }, state.inboundStats.active);
      add({ side: "outbound" }, state.pools.pools().reduce((sum, pool) => sum + pool.connections, 0));
      add({ side: "tcp" }, state.tcpStats.active);
    },
  });
  addGauge(registry, {
    name: "atoll_upstream_requests_waiting",
    help: "Requests that wait for a connection, by upstream.",
    labels: ["upstream", "server_name"],
    read: (add) => {
      for (const { target, waiting } of state.pools.pools()) if (waiting > 0) add(targetLabels(target), waiting);
    },
  });
  addGauge(registry, {
    name: "atoll_upstream_streams",
    help: "Requests under way, by upstream.",
    labels: ["upstream", "server_name"],
    read: (add) => {
      for (const { target, streams } of state.pools.pools()) if (streams > 0) add(targetLabels(target), streams);
    },
  });
  addGauge(registry, {
    name: "atoll_hop_sessions",
    help: "Connections of callers' sidecars that carry requests in frames.",
    read: (add) => add({}, state.hop.sessions),
  });
  addGauge(registry, {
    name: "atoll_hop_streams",
    help: "Requests under way on connections of callers' sidecars.",
    read: (add) => add({}, state.hop.streams),
  });
  addCounter(registry, {
    name: "atoll_hop_refused_total",
    help: "Connections and streams of callers' sidecars beyond the bounds.",
    labels: ["what"],
    read: (add) => {
      add({ what: "session" }, state.hop.refused);
      add({ what: "stream" }, state.hop.streamsRefused);
    },
  });
  addCounter(registry, {
    name: "atoll_hop_faults_total",
    help: "Connections between sidecars that were closed because the peer broke the protocol, by how.",
    labels: ["side", "fault"],
    read: (add) => {
      for (const [fault, count] of state.hop.faults) add({ side: "inbound", fault }, count);
      for (const [fault, count] of state.hopFaults) add({ side: "outbound", fault }, count);
    },
  });
  addCounter(registry, {
    name: "atoll_hop_silences_total",
    help: "Times that nothing came from a callee's sidecar for longer than the way explains (begun), and that it spoke again on the same connection (over).",
    labels: ["state"],
    read: (add) => {
      add({ state: "begun" }, state.silences.begun);
      add({ state: "over" }, state.silences.over);
    },
  });
  addCounter(registry, {
    name: "atoll_inbound_refused_total",
    help: "Inbound connections that were refused, by reason.",
    labels: ["reason"],
    read: (add) => {
      for (const [reason, count] of state.inboundStats.refused) add({ reason }, count);
    },
  });
  addGauge(registry, {
    name: "atoll_inbound_refused_callers_active",
    help: "Open connections of callers that may not call, kept to tell them so.",
    read: (add) => add({}, state.inboundStats.refusedOpen),
  });
  addRefusalMetrics(registry, state);
  addCounter(registry, {
    name: "atoll_tls_handshakes_total",
    help: "TLS handshakes: begun on the inbound side, begun on the outbound side, failed on the outbound side.",
    labels: ["side", "result"],
    read: (add) => {
      add({ side: "inbound", result: "begun" }, state.inboundStats.handshakes);
      add({ side: "outbound", result: "begun" }, state.connectorStats.handshakes);
      add({ side: "outbound", result: "failed" }, state.connectorStats.failures);
    },
  });
  addCounter(registry, {
    name: "atoll_connects_impossible_total",
    help: "Connections that this proxy could not even begin, by what it lacked: file descriptors, memory, or an identity and the roots to judge the other side by. They count against nobody.",
    labels: ["lacked"],
    read: (add) => {
      for (const fault of ownFaults) add({ lacked: fault }, state.ownFaults[fault]);
    },
  });
  addCounter(registry, {
    name: "atoll_http_faults_total",
    help: "HTTP messages that were refused, by fault.",
    labels: ["side", "fault"],
    read: (add) => {
      for (const [side, { faults }] of Object.entries(state.http)) {
        for (const [fault, count] of faults) if (count > 0) add({ side, fault }, count);
      }
    },
  });
  addCounter(registry, {
    name: "atoll_http_connections_refused_total",
    help: "HTTP/1.1 connections that were closed at once, because there were too many or the proxy leaves.",
    labels: ["side"],
    read: (add) => {
      for (const [side, { refused }] of Object.entries(state.http)) add({ side }, refused);
    },
  });
  addCounter(registry, {
    name: "atoll_tcp_bytes_total",
    help: "Bytes that plain TCP relays passed on.",
    labels: ["direction"],
    read: (add) => {
      add({ direction: "sent" }, state.tcpStats.bytesSent);
      add({ direction: "received" }, state.tcpStats.bytesReceived);
    },
  });
}

/** What sidecars answered for themselves, on the side that refused and on the one that was told. */
function addRefusalMetrics(registry: Registry, state: SidecarState): void {
  const sides = [["outbound", state.outboundTelemetry] as const, ["inbound", state.inboundTelemetry] as const];
  addCounter(registry, {
    name: "atoll_refused_total",
    help: "Requests answered by a sidecar itself, by reason: refused by policy, by a limit, or because the application was not reachable.",
    labels: ["reason", "side"],
    read: (add) => {
      for (const { side, refusal, count } of refusalsOf(sides)) if (!isDeadline(refusal)) add({ reason: refusal.reason, side }, count);
    },
  });
  addCounter(registry, {
    name: "atoll_deadline_exceeded_total",
    help: "Requests whose time was over before their response's head came, by the side that noticed or was told.",
    labels: ["side"],
    read: (add) => {
      for (const { side, refusal, count } of refusalsOf(sides)) if (isDeadline(refusal)) add({ side }, count);
    },
  });
}

function* refusalsOf(sides: readonly (readonly [string, TelemetryStage])[]) {
  for (const [side, stage] of sides) {
    for (const series of stage.series()) {
      for (const counted of series.refusals.values()) yield { side, ...counted };
    }
  }
}

function targetLabels({ address, port, sni }: UpstreamTarget): Readonly<Record<string, string>> {
  return { upstream: `${address}:${port}`, server_name: sni };
}

function gatewayLabels(gateway: { readonly cluster: string; readonly address: string; readonly port: number }): Readonly<Record<string, string>> {
  return { destination_cluster: gateway.cluster, address: `${gateway.address}:${gateway.port}` };
}
