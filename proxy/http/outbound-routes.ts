import type { ServiceHost } from "#federation/model/names.ts";
import type { ServicePort } from "#federation/model/service.ts";
import type { ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import type { TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import { buildRouteTable, matchRoute } from "#federation/routing/match-route.ts";
import type { RouteTable, RouteTarget } from "#federation/routing/match-route.ts";
import { RetryBudget } from "#federation/routing/retry-budget.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { PoolSet } from "../upstream/pool-set.ts";
import { PlaceChooser } from "../upstream/place-chooser.ts";
import type { PlaceBoard } from "../upstream/place-chooser.ts";
import type { Route } from "./exchange.ts";
import { RouteLatency } from "./route-latency.ts";

/** What routes are made of. */
export interface OutboundRoutesOptions {
  readonly pools: PoolSet;
  readonly board: PlaceBoard;
  readonly clock: Clock;
  readonly random: Random;
}

/** The route to one port of a service, with its live chooser. */
export class ServiceRoute implements Route {
  readonly name: string;
  readonly view: ServiceView;
  readonly port: ServicePort;
  readonly chooser: PlaceChooser;
  readonly policy: TrafficPolicySpec;
  readonly budget: RetryBudget;
  readonly latency: RouteLatency;
  readonly allowsCloseDelimited = false;
  readonly retries = true;

  /** `before`: the route that this one replaces; what it has learned goes on. */
  constructor(target: RouteTarget, options: OutboundRoutesOptions, before?: ServiceRoute) {
    this.name = target.service.host;
    this.view = target.service;
    this.port = target.port;
    this.policy = target.service.policy;
    this.budget = budgetFor(target.service, before);
    this.latency = before?.latency ?? new RouteLatency();
    this.chooser = new PlaceChooser({ ...options, view: target.service, port: target.port }, before?.chooser);
  }
}

/**
 * The routes of the present snapshot, made at their first request: a snapshot of a thousand services costs a sidecar
 * only what it calls. An unchanged service keeps its route; a changed one gets another, which goes on with what was learned.
 */
export class OutboundRoutes {
  readonly #options: OutboundRoutesOptions;
  #table: RouteTable = new Map();
  #services: ReadonlyMap<ServiceHost, ServiceView> = new Map();
  readonly #routes = new Map<ServiceHost, Map<number, ServiceRoute>>();

  constructor(options: OutboundRoutesOptions) {
    this.#options = options;
  }

  /** Routes by `snapshot` from now on. Requests under way keep the route they have. */
  apply(snapshot: Snapshot): void {
    this.#table = buildRouteTable(snapshot.services);
    this.#services = snapshot.services;
    for (const [host, ports] of this.#routes) {
      const view = snapshot.services.get(host);
      if (view === undefined) this.#drop(host, ports);
      else this.#renew(host, ports, view);
    }
  }

  /** The route that a Host field names, or undefined; TCP ports are none. `ownPort`: where the client has connected to. */
  find(host: string, ownPort?: number): Route | undefined {
    const target = matchRoute(this.#table, host, ownPort);
    return target === undefined || target.port.protocol !== "http" ? undefined : this.routeTo(target);
  }

  /** The route to one port of a service of the present snapshot, made when it is not there yet. */
  routeTo(target: RouteTarget): ServiceRoute {
    const { host } = target.service;
    const known = this.#routes.get(host)?.get(target.port.port);
    if (known !== undefined) return known;
    const route = new ServiceRoute(target, this.#options);
    const ports = this.#routes.get(host) ?? new Map<number, ServiceRoute>();
    ports.set(target.port.port, route);
    this.#routes.set(host, ports);
    return route;
  }

  /** The route to a named service and port, for TCP listeners. */
  routeToPort(host: ServiceHost, port: number): ServiceRoute | undefined {
    const service = this.#services.get(host);
    const servicePort = service?.ports.find((candidate) => candidate.port === port);
    return service === undefined || servicePort === undefined ? undefined : this.routeTo({ service, port: servicePort });
  }

  /** Routes in use, for the admin page and pings. */
  *routes(): Generator<ServiceRoute> {
    for (const ports of this.#routes.values()) yield* ports.values();
  }

  #drop(host: ServiceHost, ports: ReadonlyMap<number, ServiceRoute>): void {
    this.#routes.delete(host);
    for (const route of ports.values()) route.chooser.release();
  }

  #renew(host: ServiceHost, ports: Map<number, ServiceRoute>, view: ServiceView): void {
    for (const [number, route] of ports) {
      const port = view.ports.find((candidate) => candidate.port === number);
      if (route.view === view && port !== undefined) continue;
      if (port === undefined) ports.delete(number);
      // The new chooser claims its pools before the old one lets go, so that connections are carried over.
      else ports.set(number, new ServiceRoute({ service: view, port }, this.#options, route));
      route.chooser.release();
    }
    if (ports.size === 0) this.#routes.delete(host);
  }
}

function budgetFor({ policy }: ServiceView, before: ServiceRoute | undefined): RetryBudget {
  const { budgetRatio } = policy.retries;
  return before?.policy.retries.budgetRatio === budgetRatio ? before.budget : new RetryBudget(budgetRatio);
}
