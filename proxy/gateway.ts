import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import type { Registry } from "prom-client";
import { openAdminServer } from "./admin/admin-server.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import { addStallMetrics } from "./admin/metrics.ts";
import type { ProxyConfig } from "./config.ts";
import { ControlLink, type ProcessParts } from "./control/control-link.ts";
import { createProxyRegistry } from "./control/proxy-metrics.ts";
import { createSessionStats, runRegistrySession } from "./control/registry-session.ts";
import { awaitFooting } from "./control/start-control.ts";
import { GatewayListener } from "./gateway/gateway-listener.ts";
import { createGatewayStats, type GatewayStats } from "./gateway/gateway-stats.ts";
import { PingResponder } from "./gateway/ping-responder.ts";
import { LocalStall } from "./health/local-stall.ts";
import { gatewayPingSni } from "./health/gateway-prober.ts";
import { describeSnapshot } from "./sidecar-state.ts";

/** Metrics are not hardened against strangers, and a gateway's own address may face the internet. */
const loopback = "127.0.0.1";

/**
 * Runs a gateway until `signal` aborts, then drains it: the port opens with the first identity and export table, from
 * disk or from the plane, and what it has goes on being served whatever becomes of the plane.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED | ATOLL_JOIN_TOKEN_INVALID} and the platform's errors for ports that cannot be bound.
 */
export async function runGateway(config: ProxyConfig, parts: ProcessParts, signal: AbortSignal): Promise<void> {
  const control = await ControlLink.open({ ...parts, ...config });
  const life = new AbortController();
  const subscriptions = [
    { typeUrl: resourceTypeUrls.bundle, names: "all" },
    { typeUrl: resourceTypeUrls.gatewayRoute, names: "all" },
  ] as const;
  const serve = async (inner: AbortSignal): Promise<void> => {
    try {
      const stop = AbortSignal.any([signal, inner]);
      const { svid } = await awaitFooting(control, stop);
      await serveGateway({ config, parts, control, svid }, stop);
    } finally {
      life.abort();
    }
  };
  await runTasks([(inner) => control.run(() => subscriptions, inner), serve], life.signal);
}

interface GatewayOptions {
  readonly config: ProxyConfig;
  readonly parts: ProcessParts;
  readonly control: ControlLink;
  readonly svid: X509Svid;
}

async function serveGateway({ config, parts, control, svid }: GatewayOptions, stop: AbortSignal): Promise<void> {
  const { clock } = parts;
  const stats = createGatewayStats();
  const stall = new LocalStall(clock);
  const responder = new PingResponder(svid, { stats, stall });
  const listener = await GatewayListener.open({
    ...parts,
    stall,
    address: config.address,
    port: config.ports.gateway,
    routes: () => control.builder.snapshot.current.gatewayRoutes,
    ping: { sni: pingSniOf(svid), responder },
    stats,
  });
  const session = createSessionStats();
  const registry = createProxyRegistry(control, session);
  addGatewayMetrics(registry, stats);
  addStallMetrics(registry, stall);
  await using metrics = await openMetricsServer(registry, loopback, config.ports.metrics);
  await using admin = await openAdminServer(
    {
      unreadyBecause: () => (stop.aborted ? ["the gateway is draining"] : []),
      stats: () => ({ gateway: { ...stats, refused: Object.fromEntries(stats.refused) }, discovery: control.discovery, ageMs: control.ageMs ?? null, spiffeId: control.svid.current?.spiffeId ?? null }),
      snapshot: () => describeSnapshot(control),
      config,
      explain: () => undefined,
    },
    config.ports.admin,
  );
  await control.sayReady({ gateway: listener.port, admin: admin.port, metrics: metrics.port });
  const report = new WatchedValue(reportOf(config, listener.port));
  const latest = (known: SessionReport): SessionReport => ({ ...known, unwritten: control.unwritten ?? "" });
  await Promise.all([followIdentity(control, responder, stop), runRegistrySession({ plane: control.connection, report, latest, stats: session, ...parts }, stop)]);
  await listener.drain(config.drainMs);
}

async function followIdentity({ svid }: ControlLink, responder: PingResponder, signal: AbortSignal): Promise<void> {
  for await (const renewed of svid.changes(signal)) if (renewed !== undefined) responder.setIdentity(renewed);
}

/** A gateway backs no service: it has a session to say how it is, and nobody is sent to it for that. */
function reportOf(config: ProxyConfig, port: number): SessionReport {
  return { instanceId: config.name, ports: [], address: config.address, inboundPort: port, zone: config.zone ?? "", weight: 1, ready: true, draining: false };
}

/** The one name that is answered here; it follows from who this gateway is. @throws {ATOLL_PEER_UNVERIFIED} for the identity of anything else. */
function pingSniOf(svid: X509Svid): string {
  const match = /^\/atoll\/gateway\/([a-z0-9-]+)$/.exec(pathOf(svid.spiffeId));
  if (match?.[1] === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", `${svid.spiffeId} is not the identity of a gateway (${trustDomainOf(svid.spiffeId)})`);
  return gatewayPingSni(match[1] as Parameters<typeof gatewayPingSni>[0], svid.spiffeId);
}

function addGatewayMetrics(registry: Registry, stats: GatewayStats): void {
  addGauge(registry, { name: "atoll_connections_active", help: "Open connections, by side.", labels: ["side"], read: (add) => add({ side: "gateway" }, stats.active) });
  addCounter(registry, {
    name: "atoll_gateway_connections_total",
    help: "Connections accepted, tried at a second endpoint, failed to connect, and ended by a reset.",
    labels: ["event"],
    read: (add) => {
      for (const event of ["accepted", "retried", "connectFailures", "resets"] as const) add({ event }, stats[event]);
    },
  });
  addCounter(registry, {
    name: "atoll_gateway_refused_total",
    help: "Connections that were not passed on, by reason.",
    labels: ["reason"],
    read: (add) => {
      for (const [reason, count] of stats.refused) add({ reason }, count);
    },
  });
  addCounter(registry, {
    name: "atoll_gateway_bytes_total",
    help: "Bytes passed on, by direction.",
    labels: ["direction"],
    read: (add) => {
      add({ direction: "in" }, stats.bytesIn);
      add({ direction: "out" }, stats.bytesOut);
    },
  });
  addCounter(registry, { name: "atoll_gateway_pings_answered_total", help: "Pings answered.", read: (add) => add({}, stats.pings) });
}
