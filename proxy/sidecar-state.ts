import type { ClusterId } from "#federation/model/names.ts";
import { explainChoice, type Explanation, type PlaceLoad, type PlaceRefusal } from "#federation/routing/explain.ts";
import type { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { unreached } from "#federation/health/place-verdict.ts";
import type { Place, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import { unobservedCondition } from "#federation/model/verdict.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { buildRouteTable, matchRoute } from "#federation/routing/match-route.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeAdmission, describeLoop } from "./admission/describe-admission.ts";
import type { Admission } from "./admission/admission.ts";
import type { LoopDelay } from "./admission/loop-delay.ts";
import type { LoopShed } from "./admission/loop-shed.ts";
import type { LoopShedStage } from "./admission/loop-shed-stage.ts";
import type { AccessLogFile } from "./admin/access-log-file.ts";
import type { OverloadLines } from "./http/access-log.ts";
import type { ControlLink } from "./control/control-link.ts";
import type { SessionStats } from "./control/registry-session.ts";
import type { GatewayProber } from "./health/gateway-prober.ts";
import type { LocalStall } from "./health/local-stall.ts";
import type { HopServer } from "./hop/hop-server.ts";
import type { HttpServer } from "./http/http-server.ts";
import type { OutboundRoutes } from "./http/outbound-routes.ts";
import type { PriorityStage } from "./http/priority-stage.ts";
import type { TelemetryStage } from "./http/telemetry-stage.ts";
import type { TcpStats } from "./tcp/outbound-listener.ts";
import type { InboundStats } from "./tls/inbound-listener.ts";
import type { TlsConnectorStats } from "./tls/tls-connector.ts";
import type { OwnFaultCounts } from "./upstream/own-fault.ts";
import type { SilenceCounts } from "./upstream/pool-environment.ts";
import type { PoolSet } from "./upstream/pool-set.ts";
import type { PlaceHealth } from "./upstream/place-health.ts";

/** The parts of a running sidecar that its admin page and metrics look at. */
export interface SidecarState {
  readonly control: ControlLink;
  readonly resolver: NameResolver;
  /** What is routed by: the plane's, with names resolved. */
  readonly snapshot: Watched<Snapshot>;
  readonly clock: Clock;
  readonly stall: LocalStall;
  readonly pools: PoolSet;
  readonly places: PlaceHealth;
  readonly prober: GatewayProber;
  readonly routes: OutboundRoutes;
  readonly outboundTelemetry: TelemetryStage;
  readonly inboundTelemetry: TelemetryStage;
  readonly inboundStats: InboundStats;
  readonly tcpStats: TcpStats;
  readonly connectorStats: TlsConnectorStats;
  readonly ownFaults: OwnFaultCounts;
  readonly session: SessionStats;
  /** By port of the application. */
  readonly admissions: ReadonlyMap<number, Admission>;
  readonly loop: LoopDelay;
  readonly shed: LoopShed;
  readonly inboundGuard: LoopShedStage;
  readonly outboundGuard: LoopShedStage;
  /** By side. */
  readonly priorities: Readonly<Record<"inbound" | "outbound", PriorityStage>>;
  /** By class. */
  readonly throttled: Float64Array;
  readonly hop: HopServer;
  /** Of sessions that we opened. */
  readonly hopFaults: ReadonlyMap<string, number>;
  readonly silences: Readonly<SilenceCounts>;
  readonly accessLog: AccessLogFile | undefined;
  readonly overloadLines: OverloadLines;
  /** Its HTTP/1.1 servers: the application's own calls, and those of callers whose sidecars speak no frames. */
  readonly http: Readonly<Record<"outbound" | "inbound", HttpServer>>;
}

/** What /snapshot shows of any proxy. */
export function describeSnapshot(control: ControlLink, snapshot: Snapshot = control.builder.snapshot.current): object {
  const { generation, services, bundles, inbound, gatewayRoutes } = snapshot;
  return {
    generation,
    source: control.source.current,
    ageMs: control.ageMs ?? null,
    connected: control.discovery.connected,
    nacks: control.discovery.nacks,
    lastNack: control.discovery.lastNack,
    services: Array.from(services.values(), (view) => ({ service: view.host, ports: view.ports, serverIdentities: view.serverIdentities, policy: view.policy, places: view.places })),
    bundles: Array.from(bundles.values(), ({ trustDomain, sequence, x509Authorities }) => ({ trustDomain, sequence, roots: x509Authorities.length })),
    inbound: Array.from(inbound, ([sni, port]) => ({ sni, protocol: port.port.protocol, callers: port.callers })),
    gatewayRoutes: Array.from(gatewayRoutes.values(), ({ sni, endpoints }) => ({ sni, endpoints })),
  };
}

/** What /stats shows of a sidecar: per service and place what was sent there, how it went, and what is held of it. */
export function describeStats(state: SidecarState): object {
  const { control, places } = state;
  const services = Array.from(state.snapshot.current.services.values(), (view) => ({
    service: view.host,
    places: view.places.map((place) => ({
      cluster: place.cluster,
      region: place.region,
      ...requestsTo(state, view, place.cluster),
      inFlight: inFlightTo(state, view, place.cluster),
      roundTripMs: place.kind === "local" ? 0 : (places.viewpoint.roundTripMs.get(place.cluster) ?? null),
      condition: conditionOf(state, view, place),
      load: loadOf(state, view, place.cluster) ?? null,
    })),
  }));
  return {
    identity: { spiffeId: control.svid.current?.spiffeId ?? null, notAfterMs: control.svid.current?.notAfterMs ?? null, ...control.identityEvents },
    plane: { identity: control.plane.current?.identity ?? null, addresses: control.plane.current?.addresses ?? [], ...control.discovery, ageMs: control.ageMs ?? null },
    stalls: { count: state.stall.count, totalMs: Math.round(state.stall.totalMs) },
    session: { attached: state.session.attached, reports: state.session.reports, refused: state.session.refused, clockAheadMs: state.session.planeClock.aheadMs ?? null },
    services,
    gateways: state.prober.gateways,
    names: Array.from(state.resolver.names.current, ([name, { addresses, asOfMs, problem }]) => ({ name, addresses, ageMs: asOfMs === undefined ? null : Math.max(0, state.clock.nowMs() - asOfMs), problem: problem ?? null })),
    inbound: { ...state.inboundStats, refused: Object.fromEntries(state.inboundStats.refused), requests: totalOf(state.inboundTelemetry), activeRequests: state.inboundTelemetry.active, sessions: state.hop.sessions },
    outbound: { activeRequests: state.outboundTelemetry.active, requests: totalOf(state.outboundTelemetry), tls: state.connectorStats, handshakes: state.pools.handshakes, silences: { ...state.silences } },
    tcp: state.tcpStats,
    admission: Array.from(state.admissions, ([appPort, admission]) => ({ appPort, ...describeAdmission(admission, state.clock.monotonicMs()) })),
    loop: describeLoop(state.loop, state.shed, { inbound: state.inboundGuard, outbound: state.outboundGuard }),
  };
}

/** Why requests to `service` go where they go, by the functions that route them; undefined when it is not known here. */
export function explainService(state: SidecarState, service: string): Explanation | undefined {
  const { services } = state.snapshot.current;
  const host = service.includes("/") ? service.split("/").toReversed().join(".") : service;
  const view = matchRoute(buildRouteTable(services), host)?.service ?? [...services.values()].find((candidate) => candidate.host === host || candidate.aliases.includes(host));
  if (view === undefined) return undefined;
  return explainChoice({
    service: view,
    viewpoint: state.places.viewpoint,
    conditionOf: (cluster) => {
      const place = view.places.find((candidate) => candidate.cluster === cluster);
      return place === undefined ? unobservedCondition : conditionOf(state, view, place);
    },
    refusalOf: (cluster) => latestRefusal(state, view, cluster),
    loadOf: (cluster) => loadOf(state, view, cluster),
    nowMs: state.clock.nowMs(),
  });
}

/** As choosers have it: what requests and pings have shown of a place, and whether its connections are silent. */
function conditionOf(state: SidecarState, view: ServiceView, place: Place): PlaceCondition {
  const condition = state.places.conditionOf(view, place);
  const isUnreachable = [...state.routes.routes()].some((route) => route.view.host === view.host && route.chooser.isUnreachable(place.cluster));
  return isUnreachable ? unreached(condition) : condition;
}

/** By the port of the service that is overloaded, or the first that is called and of whose load something is known. */
function loadOf(state: SidecarState, view: ServiceView, cluster: ClusterId): PlaceLoad | undefined {
  const loads = [...state.routes.routes()].filter((route) => route.view.host === view.host).map((route) => route.chooser.loadOf(cluster));
  return loads.find((load) => load?.overload !== undefined) ?? loads.find((load) => load !== undefined);
}

/** A refusal older than this is no answer to "why" any more. */
const refusalShownMs = 600_000;

function latestRefusal(state: SidecarState, view: ServiceView, cluster: string): PlaceRefusal | undefined {
  let latest: PlaceRefusal | undefined;
  for (const series of state.outboundTelemetry.series()) {
    if (series.service !== view.host || series.cluster !== cluster) continue;
    for (const { refusal, count, lastMs } of series.refusals.values()) {
      if (state.clock.nowMs() - lastMs <= refusalShownMs && lastMs >= (latest?.lastMs ?? 0)) latest = { reason: refusal.reason, count, lastMs };
    }
  }
  return latest;
}

function requestsTo(state: SidecarState, view: ServiceView, cluster: string): { readonly requests: number; readonly failures: number } {
  let requests = 0;
  let failures = 0;
  for (const series of state.outboundTelemetry.series()) {
    if (series.service !== view.host || series.cluster !== cluster) continue;
    requests += series.requests;
    for (const [outcome, count] of series.outcomes) {
      const status = Math.floor(outcome / 16);
      if (status >= 500) failures += count;
    }
  }
  return { requests, failures };
}

/** Over all ports of the service; several services share a gateway's address, so addresses cannot tell. */
function inFlightTo(state: SidecarState, view: ServiceView, cluster: string): number {
  const addresses = new Set<string>();
  for (const place of view.places) {
    if (place.cluster !== cluster) continue;
    for (const { address, port } of place.kind === "local" ? place.endpoints : place.gateways) addresses.add(`${address}|${port}`);
  }
  let inFlight = 0;
  for (const pool of state.pools.pools()) {
    if (pool.target.sni.endsWith(`.${view.host}`) && addresses.has(`${pool.target.address}|${pool.target.port}`)) inFlight += pool.load.inFlight;
  }
  return inFlight;
}

function totalOf(stage: TelemetryStage): number {
  let requests = 0;
  for (const series of stage.series()) requests += series.requests;
  return requests;
}
