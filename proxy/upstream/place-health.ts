import { createPlaceEvidence, defaultPlaceVerdictPolicy, placeCondition, recordPingTimeout, recordPong } from "#federation/health/place-verdict.ts";
import type { PlaceEvidence, PlaceVerdictPolicy } from "#federation/health/place-verdict.ts";
import type { ClusterId, ServiceHost } from "#federation/model/names.ts";
import type { Place, ServiceView } from "#federation/model/snapshot.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import type { Viewpoint } from "#federation/routing/order-places.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { PlaceBoard } from "./place-chooser.ts";

/**
 * One unanswered ping lowers: TCP loses none, and its deadline allows for three round trips. For a second at first, since
 * the next pong says more than any waiting; the hold-down and the ramp come on top.
 */
const unansweredPingsMax = 1;
const pingPolicy: PlaceVerdictPolicy = {
  ...defaultPlaceVerdictPolicy,
  unansweredPingsMax,
  outlier: { consecutiveFailures: 5, baseEjectionMs: 1_000, maxEjectionMs: 10_000 },
};

/**
 * What this process knows of places: evidence by service and cluster, fed by requests (choosers) and by pings to
 * gateways, which speak for every service of a cluster. Outlives snapshots; `forget` drops what no snapshot names.
 */
export class PlaceHealth implements PlaceBoard {
  readonly #clock: Clock;
  readonly #evidence = new Map<ServiceHost, Map<ClusterId, PlaceEvidence>>();
  /** What pings have shown of clusters, for services that appear later. */
  readonly #pings = new Map<ClusterId, { unanswered: number; lastPongMs: number }>();
  #viewpoint: Viewpoint;

  constructor(clock: Clock, viewpoint: Viewpoint) {
    this.#clock = clock;
    this.#viewpoint = viewpoint;
  }

  get viewpoint(): Viewpoint {
    return this.#viewpoint;
  }

  /** New round trips: every chooser orders its places again within 250 ms. */
  setViewpoint(viewpoint: Viewpoint): void {
    this.#viewpoint = viewpoint;
  }

  evidenceOf(view: ServiceView, cluster: ClusterId): PlaceEvidence {
    let clusters = this.#evidence.get(view.host);
    if (clusters === undefined) {
      clusters = new Map();
      this.#evidence.set(view.host, clusters);
    }
    const known = clusters.get(cluster);
    if (known !== undefined) return known;
    const evidence = createPlaceEvidence();
    const pings = this.#pings.get(cluster);
    if (pings !== undefined) {
      evidence.unansweredPings = pings.unanswered;
      evidence.lastPongMs = pings.lastPongMs;
    }
    clusters.set(cluster, evidence);
    return evidence;
  }

  conditionOf(view: ServiceView, place: Place): PlaceCondition {
    const policy: PlaceVerdictPolicy = { ...defaultPlaceVerdictPolicy, unansweredPingsMax, outlier: view.policy.outlier };
    return placeCondition(this.evidenceOf(view, place.cluster), this.#reportOf(place), policy, this.#clock.monotonicMs());
  }

  /** A gateway of the cluster answered a ping. */
  pingAnswered(cluster: ClusterId): void {
    const nowMs = this.#clock.monotonicMs();
    this.#pings.set(cluster, { unanswered: 0, lastPongMs: nowMs });
    for (const evidence of this.#evidenceIn(cluster)) recordPong(evidence, nowMs);
  }

  /** No gateway of the cluster answered within its bound; true when that lowers a place of it now. */
  pingUnanswered(cluster: ClusterId): boolean {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#pings.get(cluster);
    this.#pings.set(cluster, { unanswered: (before?.unanswered ?? 0) + 1, lastPongMs: before?.lastPongMs ?? Number.NEGATIVE_INFINITY });
    let lowered = false;
    for (const evidence of this.#evidenceIn(cluster)) lowered = recordPingTimeout(evidence, pingPolicy, nowMs) || lowered;
    return lowered;
  }

  /** Drops the evidence on services that are not among `hosts`. */
  forget(hosts: ReadonlyMap<ServiceHost, unknown>): void {
    for (const host of this.#evidence.keys()) {
      if (!hosts.has(host)) this.#evidence.delete(host);
    }
  }

  *#evidenceIn(cluster: ClusterId): Generator<PlaceEvidence> {
    for (const clusters of this.#evidence.values()) {
      const evidence = clusters.get(cluster);
      if (evidence !== undefined) yield evidence;
    }
  }

  #reportOf(place: Place): { endpointsReady: number; endpointsTotal: number; ageMs: number } {
    if (place.kind === "remote") {
      return { endpointsReady: place.endpointsReady, endpointsTotal: place.endpointsTotal, ageMs: Math.max(0, this.#clock.nowMs() - place.asOfMs) };
    }
    const ready = place.endpoints.filter((endpoint) => endpoint.readiness === "ready").length;
    return { endpointsReady: ready, endpointsTotal: place.endpoints.length, ageMs: 0 };
  }
}
