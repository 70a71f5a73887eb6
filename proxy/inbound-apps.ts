import { connect, type Socket } from "node:net";
import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import { overloadOf } from "#federation/model/overload.ts";
import type { Overload } from "#federation/model/overload.ts";
import { serviceHost, serviceSni } from "#federation/model/service.ts";
import { defaultTrafficPolicy, timeoutMsMax } from "#federation/model/traffic-policy.ts";
import type { TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import { RetryBudget } from "#federation/routing/retry-budget.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { InstancePort } from "#federation/wire/workload-messages.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { Admission } from "./admission/admission.ts";
import { unknownLoad } from "./admission/load-report.ts";
import type { LoadReport } from "./admission/load-report.ts";
import { stallMs } from "./admission/loop-delay.ts";
import type { LoopListener } from "./admission/loop-delay.ts";
import type { LoopShed } from "./admission/loop-shed.ts";
import type { ProxyConfig } from "./config.ts";
import type { Route } from "./http/exchange.ts";
import { plainEnd, relay, type Relay } from "./tcp/relay.ts";
import type { TcpStats } from "./tcp/outbound-listener.ts";
import type { InboundConnection } from "./tls/inbound-listener.ts";
import { AppChooser } from "./upstream/app-chooser.ts";
import type { Chooser } from "./upstream/chooser.ts";
import type { PoolSet } from "./upstream/pool-set.ts";

/** The application always runs beside its sidecar. */
export const appAddress = "127.0.0.1";

/**
 * The inbound hop has no limit in time of its own that is shorter than a caller's policy: the caller's sidecar says how much
 * is left of a request, and ends what is silent, which ends it here. What it does not say is bounded by what a policy could be.
 */
export const inboundTrafficPolicy: TrafficPolicySpec = {
  ...defaultTrafficPolicy,
  timeouts: { ...defaultTrafficPolicy.timeouts, requestMs: timeoutMsMax, idleMs: timeoutMsMax },
};

/** The caller's limit rules; this only ends what was forgotten. */
const tcpIdleMs = timeoutMsMax;
const tcpConnectMs = 2_000;

type WorkloadService = NonNullable<ProxyConfig["workload"]>["services"][number];

/** Between two looks at whether an application is overloaded. Ms. */
const lookMs = 1_000;

/** The way from a sidecar's inbound side to its application. */
export function appRoute(name: string, chooser: Chooser, admission?: Admission): Route {
  return {
    name,
    chooser,
    policy: inboundTrafficPolicy,
    // Retries are the caller's: two hops that both retry would multiply them.
    budget: new RetryBudget(0),
    allowsCloseDelimited: true,
    retries: false,
    ...(admission === undefined ? {} : { admission }),
  };
}

/** The application behind a sidecar: which of its ports serves which server name. */
export class InboundApps implements LoopListener {
  readonly #routes = new Map<string, Route>();
  readonly #ports = new Map<string, number>();
  readonly #admissions = new Map<number, Admission>();
  readonly #relays = new Set<Relay>();
  readonly #services: readonly WorkloadService[];
  readonly #overloaded = new WatchedValue("");
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  readonly #clock: Clock;
  readonly #stats: TcpStats;
  readonly #shed: Pick<LoopShed, "share">;
  readonly #crowded = { queueDelayMs: 0, utilizationRatio: 1, headroom: 0 };

  constructor(
    workload: ProxyConfig["workload"],
    options: {
      readonly trustDomain: TrustDomainName;
      readonly cluster: ClusterId;
      readonly region: RegionId;
      readonly pools: PoolSet;
      readonly clock: Clock;
      readonly stats: TcpStats;
      readonly shed: Pick<LoopShed, "share">;
    },
  ) {
    this.#services = workload?.services ?? [];
    this.#clock = options.clock;
    this.#stats = options.stats;
    this.#shed = options.shed;
    for (const { namespace, service, port, appPort } of workload?.services ?? []) {
      const host = serviceHost({ namespace, name: service, trustDomain: options.trustDomain });
      const sni = serviceSni(host, port);
      const pool = options.pools.claim({ address: appAddress, port: appPort, sni: "", identities: [] });
      this.#ports.set(sni, appPort);
      this.#routes.set(sni, appRoute(host, new AppChooser(pool, options.cluster, options.region), this.#admissionTo(appPort)));
    }
  }

  /** One for each port of the application, whatever services it stands behind. */
  #admissionTo(appPort: number): Admission {
    const known = this.#admissions.get(appPort);
    if (known !== undefined) return known;
    const admission = new Admission();
    this.#admissions.set(appPort, admission);
    return admission;
  }

  /** Admission to each port of the application. */
  get admissions(): ReadonlyMap<number, Admission> {
    return this.#admissions;
  }

  /** The application's ports that are asked for more than they can do. Looked at once a second. */
  get overloaded(): Watched<string> {
    return this.#overloaded;
  }

  /** The service ports that this instance serves, those of them that are overloaded with how much. */
  ports(): readonly InstancePort[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#services.map(({ namespace, service, port, appPort }) => ({ namespace, service, port, ...this.#overloadOf(appPort, nowMs) }));
  }

  #overloadOf(appPort: number, nowMs: number): Overload | undefined {
    const admission = this.#admissions.get(appPort);
    return admission === undefined ? undefined : overloadOf(admission.rates.at(nowMs));
  }

  /** What callers are told of the application behind a server name. While this process refuses for itself, room in the application is none. The same object at each call. */
  reportOf(sni: string): LoadReport {
    const report = this.#routes.get(sni)?.admission?.report() ?? unknownLoad;
    if (this.#shed.share === 0) return report;
    this.#crowded.queueDelayMs = report.queueDelayMs;
    return this.#crowded;
  }

  /** Where our own event loop stood still, no time that was measured across it says anything of the application. */
  onLoopTick(lateMs: number, nowMs: number): void {
    if (nowMs - this.#lookedAtMs >= lookMs) {
      this.#lookedAtMs = nowMs;
      this.#overloaded.set([...this.#admissions.keys()].filter((port) => this.#overloadOf(port, nowMs) !== undefined).join());
    }
    for (const admission of this.#admissions.values()) {
      admission.onTick(lateMs, nowMs);
      if (lateMs >= stallMs) admission.onStall(nowMs);
    }
  }

  routeOf(sni: string): Route | undefined {
    return this.#routes.get(sni);
  }

  /** Joins an accepted TCP connection to the application. */
  serveTcp(connection: InboundConnection, sni: string): void {
    const port = this.#ports.get(sni);
    const stats = this.#stats;
    if (port === undefined) {
      connection.reset();
      return;
    }
    stats.connections++;
    stats.active++;
    const app: Socket = connect({ host: appAddress, port, allowHalfOpen: true, noDelay: true, autoSelectFamily: false });
    const timer = this.#clock.schedule(tcpConnectMs, () => app.destroy());
    let joined = false;
    app.on("error", () => app.destroy());
    connection.socket.once("close", () => app.destroy());
    app.once("close", () => {
      timer[Symbol.dispose]();
      stats.active--;
      if (joined) return;
      stats.failures++;
      connection.reset();
    });
    app.once("connect", () => {
      joined = true;
      timer[Symbol.dispose]();
      const running = relay({ socket: connection.socket, reset: () => connection.reset() }, plainEnd(app), {
        clock: this.#clock,
        idleMs: tcpIdleMs,
        onBytes: (sent, received) => {
          stats.bytesReceived += sent;
          stats.bytesSent += received;
        },
        onEnd: () => this.#relays.delete(running),
      });
      this.#relays.add(running);
    });
  }

  /** Resets what is still joined. */
  stopAll(): void {
    for (const running of this.#relays) running.stop();
  }
}
