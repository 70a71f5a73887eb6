import type { TlsMaterial } from "#federation/identity/tls-options.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { deadlineSignal, sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createProcessorShare } from "#federation/runtime/processor-share.ts";
import { runTasks, untilAborted } from "#federation/runtime/lifecycle.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { reportTextMax, type SessionReport } from "#federation/wire/workload-messages.ts";
import { LoopDelay } from "./admission/loop-delay.ts";
import { LoopShed } from "./admission/loop-shed.ts";
import { LoopShedStage } from "./admission/loop-shed-stage.ts";
import { AccessLogFile } from "./admin/access-log-file.ts";
import { OverloadLines } from "./http/access-log.ts";
import { openAdminServer } from "./admin/admin-server.ts";
import { httpLimitsOf, serviceHostOf, type ProxyConfig } from "./config.ts";
import { probeApp } from "./control/app-probe.ts";
import { ControlLink, type ProcessParts } from "./control/control-link.ts";
import type { Subscription } from "./control/discovery-client.ts";
import { createProxyRegistry } from "./control/proxy-metrics.ts";
import type { ResolvedSnapshot } from "./control/resolved-snapshot.ts";
import { createSessionStats, runRegistrySession } from "./control/registry-session.ts";
import { saveNames } from "./control/names-file.ts";
import { openNames } from "./control/open-names.ts";
import { awaitFooting, type Footing } from "./control/start-control.ts";
import { GatewayProber } from "./health/gateway-prober.ts";
import { LocalStall } from "./health/local-stall.ts";
import { InboundServer } from "./http/inbound-server.ts";
import { OutboundRoutes } from "./http/outbound-routes.ts";
import { OutboundServer } from "./http/outbound-server.ts";
import { TelemetryStage } from "./http/telemetry-stage.ts";
import { TimingWheel } from "./http/timing-wheel.ts";
import { appAddress, InboundApps } from "./inbound-apps.ts";
import { addSidecarMetrics } from "./sidecar-metrics.ts";
import { describeSnapshot, describeStats, explainService, type SidecarState } from "./sidecar-state.ts";
import { createTcpStats, TcpListener, type TcpStats } from "./tcp/outbound-listener.ts";
import { createInboundStats, InboundListener, isCallerAllowed, refusingRule, type InboundConnection, type RefusingServer } from "./tls/inbound-listener.ts";
import { TlsContexts } from "./tls/tls-contexts.ts";
import { createTlsConnector } from "./tls/tls-connector.ts";
import type { Connector } from "./upstream/connector.ts";
import { countOwnFaults, createOwnFaultCounts, createOwnFaultLog } from "./upstream/own-fault.ts";
import { PoolSet } from "./upstream/pool-set.ts";
import { PlaceHealth } from "./upstream/place-health.ts";
import { loadWorkloadApi } from "./workload-api/load-workload-api.ts";
import type { WorkloadApi } from "./workload-api/workload-api.ts";

const loopback = "127.0.0.1";
/** How long the plane may take to hear that we leave … */
const leaveMsMax = 1_500;
/** … and its answer to reach callers, before connections are ended under them. */
const leaveGraceMs = 300;

/**
 * Runs a sidecar until `signal` aborts, then drains it. In this order: what disk knows, the Workload API where it is wanted, identity and snapshot,
 * listeners, ready.json, registration; backwards at the end. Renewal and discovery go on while connections drain.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED | ATOLL_JOIN_TOKEN_INVALID | ATOLL_SOCKET_UNSAFE | ATOLL_SOCKET_TAKEN} and the platform's errors for ports that cannot be bound.
 */
export async function runSidecar(config: ProxyConfig, parts: ProcessParts, signal: AbortSignal): Promise<void> {
  const control = await ControlLink.open({ ...parts, ...config });
  // For the application: from before there is an identity, and before a token is shown to anybody, until everything else has ended.
  await using workloadApi = await loadWorkloadApi(config, parts, control);
  const life = new AbortController();
  const serve = async (inner: AbortSignal): Promise<void> => {
    try {
      const stop = AbortSignal.any([signal, inner]);
      const footing = await awaitFooting(control, stop);
      const sidecar = await Sidecar.open({ config, parts, control, footing, workloadApi });
      await sidecar.run(stop, inner);
    } finally {
      life.abort();
    }
  };
  await runTasks([(inner) => control.run((svid) => subscriptionsOf(config, trustDomainOf(svid.spiffeId)), inner), serve], life.signal);
}

function subscriptionsOf(config: ProxyConfig, own: TrustDomainName): readonly Subscription[] {
  const { upstreams } = config;
  const services: Subscription = { typeUrl: resourceTypeUrls.service, names: upstreams === undefined ? "all" : upstreams.map((name) => serviceHostOf(name, own)) };
  return [
    { typeUrl: resourceTypeUrls.bundle, names: "all" },
    { typeUrl: resourceTypeUrls.inbound, names: "all" },
    // An empty list would mean everything on the wire.
    ...(upstreams?.length === 0 ? [] : [services]),
  ];
}

interface SidecarOptions {
  readonly config: ProxyConfig;
  readonly parts: ProcessParts;
  readonly control: ControlLink;
  readonly footing: Footing;
  readonly workloadApi: WorkloadApi | undefined;
}

/** The serving parts of a sidecar, opened together and drained together. */
class Sidecar {
  readonly #options: SidecarOptions;
  readonly #state: SidecarState;
  readonly #resolved: ResolvedSnapshot;
  readonly #apps: InboundApps;
  readonly #inboundHttp: InboundServer;
  readonly #inbound: InboundListener;
  readonly #outbound: OutboundServer;
  readonly #tcp: readonly TcpListener[];

  private constructor(options: SidecarOptions, opened: Opened) {
    this.#options = options;
    this.#state = opened.state;
    this.#resolved = opened.resolved;
    this.#apps = opened.apps;
    this.#inboundHttp = opened.inboundHttp;
    this.#inbound = opened.inbound;
    this.#outbound = opened.outbound;
    this.#tcp = opened.tcp;
  }

  static async open(options: SidecarOptions): Promise<Sidecar> {
    return new Sidecar(options, await openParts(options));
  }

  /** Serves until `stop` aborts, then drains; `inner` is the life of the whole process. */
  async run(stop: AbortSignal, inner: AbortSignal): Promise<void> {
    const { config, control } = this.#options;
    const { accessLog } = this.#state;
    await using _log = accessLog ?? { [Symbol.asyncDispose]: async () => undefined };
    await using _tracing = await this.#startTracing();
    const draining = new WatchedValue(false);
    const registry = createProxyRegistry(control, this.#state.session);
    addSidecarMetrics(registry, this.#state);
    this.#options.workloadApi?.addMetrics(registry);
    await using metrics = await openMetricsServer(registry, loopback, config.ports.metrics);
    await using admin = await openAdminServer(
      {
        unreadyBecause: () => this.#unreadyBecause(draining.current),
        stats: () => describeStats(this.#state),
        snapshot: () => describeSnapshot(control, this.#state.snapshot.current),
        config,
        explain: (service) => explainService(this.#state, service),
      },
      config.ports.admin,
    );
    await control.sayReady({
      outbound: this.#outbound.port,
      inbound: this.#inbound.port,
      admin: admin.port,
      metrics: metrics.port,
      ...Object.fromEntries(this.#tcp.map((listener, index) => [`tcp${index}`, listener.port])),
    });
    const served = new AbortController();
    const serving = async (end: AbortSignal): Promise<void> => {
      await this.#registerAndDrain(draining, stop, end);
      served.abort();
    };
    const names = (end: AbortSignal): Promise<void> => saveNames(config.dataDir, this.#state.resolver.names, this.#options.parts, end);
    const tasks = [(end: AbortSignal) => this.#resolved.run(end), names, (end: AbortSignal) => this.#followSnapshot(end), (end: AbortSignal) => this.#followIdentity(end), serving];
    await runTasks(tasks, AbortSignal.any([inner, served.signal]));
  }

  async #followSnapshot(signal: AbortSignal): Promise<void> {
    const { routes, places, prober } = this.#state;
    for await (const snapshot of this.#state.snapshot.changes(signal)) {
      routes.apply(snapshot);
      places.forget(snapshot.services);
      prober.follow(snapshot);
      this.#inbound.refresh();
    }
  }

  async #followIdentity(signal: AbortSignal): Promise<void> {
    let known = this.#options.control.svid.current;
    for await (const svid of this.#options.control.svid.changes(signal)) {
      if (svid === known) continue;
      known = svid;
      this.#inbound.refresh();
      this.#state.pools.renew();
    }
  }

  /** Keeps the registration while serving; at the end says goodbye first, then lets connections finish. */
  async #registerAndDrain(draining: WatchedValue<boolean>, stop: AbortSignal, signal: AbortSignal): Promise<void> {
    const { workload } = this.#options.config;
    const leaving = new AbortController();
    const tasks: Promise<void>[] = [];
    const backs = workload !== undefined && workload.services.length > 0;
    const appReady = new WatchedValue(!backs);
    const report = new WatchedValue(this.#report(appReady.current, false));
    if (backs) {
      const { parts } = this.#options;
      const update = (): void => report.set(this.#report(appReady.current, draining.current));
      const { path, intervalMs } = workload.readiness;
      const probe = { address: appAddress, ports: workload.services.map((service) => service.appPort), intervalMs, clock: parts.clock, random: parts.random, ...(path === undefined ? {} : { path }) };
      tasks.push(probeApp(probe, appReady, AbortSignal.any([stop, signal])), follow(appReady, update, leaving.signal), follow(draining, update, leaving.signal), follow(this.#apps.overloaded, update, leaving.signal));
    }
    const session = this.#runSession(report, leaving.signal);
    await untilAborted(AbortSignal.any([stop, signal]));
    draining.set(true);
    if (backs) await this.#awaitFarewell(session);
    leaving.abort();
    await Promise.all([...tasks, session]);
    await this.#drain();
  }

  /** Tells the plane what this proxy is and what it sees. In front of no service, it is nobody's target and only speaks. */
  #runSession(report: WatchedValue<SessionReport>, signal: AbortSignal): Promise<void> {
    const { parts, control } = this.#options;
    const latest = (known: SessionReport): SessionReport => ({ ...known, ports: this.#apps.ports(), unreached: this.#state.prober.unreached, unwritten: this.#unwritten });
    return runRegistrySession({ plane: control.connection, report, latest, stats: this.#state.session, ...parts }, signal);
  }

  /** Waits, not for long, until the plane knows that we leave and callers can know it. */
  async #awaitFarewell(session: Promise<void>): Promise<void> {
    const { clock } = this.#options.parts;
    using bound = deadlineSignal(clock, leaveMsMax, new AbortController().signal);
    await Promise.race([session, untilAborted(bound.signal)]);
    await sleep(clock, leaveGraceMs, new AbortController().signal);
  }

  async #drain(): Promise<void> {
    const { config, parts } = this.#options;
    using bound = deadlineSignal(parts.clock, config.drainMs, new AbortController().signal);
    this.#inbound.close();
    await Promise.all([this.#outbound.drain(bound.signal), this.#inboundHttp.drain(bound.signal), ...this.#tcp.map((listener) => listener.drain(config.drainMs))]);
    this.#apps.stopAll();
    this.#inbound.destroyAll();
    this.#state.prober.close();
    this.#state.resolver[Symbol.dispose]();
  }

  /** What the disk does not take, and why, as long as a report may be; empty while it takes all. */
  get #unwritten(): string {
    const { control, accessLog } = this.#state;
    return [control.unwritten, ...(accessLog?.failure === undefined ? [] : [`access log: ${accessLog.failure}`])].filter((reason) => reason !== undefined).join("; ").slice(0, reportTextMax);
  }

  #report(ready: boolean, draining: boolean): SessionReport {
    const { config } = this.#options;
    const { workload } = config;
    return {
      instanceId: workload?.instanceId ?? config.name,
      ports: this.#apps.ports(),
      address: config.address,
      inboundPort: this.#inbound.port,
      zone: config.zone ?? "",
      weight: workload?.weight ?? 1,
      ready,
      draining,
    };
  }

  #unreadyBecause(draining: boolean): readonly string[] {
    const { control } = this.#options;
    return [...(draining ? ["the proxy is draining"] : []), ...(control.svid.current === undefined ? ["there is no valid identity"] : [])];
  }

  async #startTracing(): Promise<AsyncDisposable | undefined> {
    const { otlpEndpoint, name } = this.#options.config;
    if (otlpEndpoint === undefined) return undefined;
    const { startTracing } = await import("./admin/tracing.ts");
    const tracing = startTracing(otlpEndpoint, name);
    this.#state.outboundTelemetry.onEnd = (x, endMs, durationMs) => tracing.record("outbound", x, endMs, durationMs);
    this.#state.inboundTelemetry.onEnd = (x, endMs, durationMs) => tracing.record("inbound", x, endMs, durationMs);
    return tracing;
  }
}

interface Opened {
  readonly state: SidecarState;
  readonly resolved: ResolvedSnapshot;
  readonly apps: InboundApps;
  readonly inboundHttp: InboundServer;
  readonly inbound: InboundListener;
  readonly outbound: OutboundServer;
  readonly tcp: readonly TcpListener[];
}

/** Builds the data path from the pools outward, and opens its ports. */
async function openParts({ config, parts, control, footing }: SidecarOptions): Promise<Opened> {
  const { clock, random, logger } = parts;
  const { snapshot } = control.builder;
  const { region } = config;
  const { cluster } = footing;
  const connectorStats = { handshakes: 0, failures: 0 };
  const ownFaults = createOwnFaultCounts();
  const contexts = new TlsContexts(control.svid, snapshot);
  const connector = countOwnFaults(createTlsConnector(contexts, connectorStats), ownFaults, createOwnFaultLog(clock, logger));
  const stall = new LocalStall(clock);
  const wheel = new TimingWheel(clock, stall);
  const hopFaults = new Map<string, number>();
  const silences = { begun: 0, over: 0 };
  const httpLimits = httpLimitsOf(config);
  const pools = new PoolSet({ connector, clock, random, wheel, httpLimits, hopFaults, silences });
  const places = new PlaceHealth(clock, { region, cluster, roundTripMs: new Map() });
  const routes = new OutboundRoutes({ pools, board: places, clock, random });
  const { resolver, resolved } = await openNames(snapshot, { ...parts, dataDir: config.dataDir, dns: config.dns });
  routes.apply(resolved.snapshot.current);
  const prober = new GatewayProber({ connector, pools, places, clock, stall, random, logger });
  const accessLog = config.accessLog === undefined ? undefined : await AccessLogFile.open(config.accessLog.path, { clock, logger });
  const overloadLines = new OverloadLines();
  const log = accessLog === undefined || config.accessLog === undefined ? undefined : { ...config.accessLog, sink: accessLog, overload: overloadLines };
  const outboundTelemetry = new TelemetryStage(clock, log);
  const inboundTelemetry = new TelemetryStage(clock, log);
  const tcpStats = createTcpStats();
  const inboundStats = createInboundStats();
  const shed = new LoopShed();
  const apps = new InboundApps(config.workload, { trustDomain: trustDomainOf(footing.svid.spiffeId), cluster, region, pools, clock, stats: tcpStats, shed });
  const loop = new LoopDelay(wheel, createProcessorShare());
  loop.listen(shed);
  loop.listen(apps);
  const inboundGuard = new LoopShedStage(loop, shed, random);
  const outboundGuard = new LoopShedStage(loop, shed, random);
  const inboundHttp = new InboundServer({
    clock,
    random,
    wheel,
    httpLimits,
    telemetry: inboundTelemetry,
    findRoute: (sni) => apps.routeOf(sni),
    isAllowed: (sni, callerId) => snapshot.current.bundles.has(trustDomainOf(callerId)) && isCallerAllowed(snapshot.current.inbound.get(sni)?.callers ?? [], callerId),
    refusedBy: (sni, callerId) => refusingRule(snapshot.current.inbound.get(sni)?.callers ?? [], callerId),
    ownIdentity: () => control.svid.current?.spiffeId ?? "",
    instance: config.workload?.instanceId ?? config.name,
    reportOf: (sni) => apps.reportOf(sni),
    guard: inboundGuard,
  });
  const inbound = await InboundListener.open(
    { address: config.address, port: config.ports.inbound, contexts, snapshot, serve: (connection) => serveInbound(connection, inboundHttp, apps), stats: inboundStats, clock, logger },
    serverMaterialOf(contexts),
  );
  const outbound = await OutboundServer.open({
    address: loopback,
    port: config.ports.outbound,
    clock,
    random,
    wheel,
    httpLimits,
    telemetry: outboundTelemetry,
    guard: outboundGuard,
    findRoute: (host, ownPort) => routes.find(host, ownPort),
    isEdge: config.edge,
  });
  const tcp = await openTcpListeners(config, { own: trustDomainOf(footing.svid.spiffeId), routes, connector, clock, stall, stats: tcpStats });
  const state: SidecarState = {
    control,
    resolver,
    snapshot: resolved.snapshot,
    clock,
    stall,
    pools,
    places,
    prober,
    routes,
    outboundTelemetry,
    inboundTelemetry,
    inboundStats,
    tcpStats,
    connectorStats,
    ownFaults,
    session: createSessionStats(),
    admissions: apps.admissions,
    loop,
    shed,
    inboundGuard,
    outboundGuard,
    hop: inboundHttp.hop,
    hopFaults,
    silences,
    priorities: { inbound: inboundHttp.priorities, outbound: outbound.priorities },
    throttled: outbound.throttled,
    accessLog,
    overloadLines,
    http: { outbound: outbound.http, inbound: inboundHttp.http },
  };
  return { state, resolved, apps, inboundHttp, inbound, outbound, tcp };
}

function openTcpListeners(
  config: ProxyConfig,
  parts: { readonly own: TrustDomainName; readonly routes: OutboundRoutes; readonly connector: Connector; readonly clock: Clock; readonly stall: LocalStall; readonly stats: TcpStats },
): Promise<readonly TcpListener[]> {
  const { own, routes, connector, clock, stall, stats } = parts;
  return Promise.all(
    config.tcpListeners.map(({ port, service, servicePort }) =>
      TcpListener.open({ address: loopback, port, connector, clock, stall, stats, chooser: () => routes.routeToPort(serviceHostOf(service, own), servicePort) }),
    ),
  );
}

function serveInbound(connection: InboundConnection, http: InboundServer, apps: InboundApps): RefusingServer | undefined {
  const { socket, inbound, callerId, callerCertificate, sni } = connection;
  if (inbound.port.protocol === "http") return http.serve(socket, { callerId, certificate: callerCertificate, sni });
  apps.serveTcp(connection, sni);
  return undefined;
}

function serverMaterialOf(contexts: TlsContexts): TlsMaterial {
  const material = contexts.serverMaterial();
  if (material === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "a listener opens only with a valid identity");
  return material;
}

/** Calls `act` for every value until `signal` aborts. */
async function follow<T>(value: Watched<T>, act: () => void, signal: AbortSignal): Promise<void> {
  for await (const _ of value.changes(signal)) act();
}
