import { createPlaceEvidence, placeCondition, recordPingTimeout, recordPong } from "#federation/health/place-verdict.ts";
import type { PlaceEvidence, PlaceReport } from "#federation/health/place-verdict.ts";
import type { ClusterId, ServiceHost } from "#federation/model/names.ts";
import type { EndpointView, Place, ServiceView } from "#federation/model/snapshot.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import type { Viewpoint } from "#federation/routing/order-places.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { PlaceBoard } from "./place-chooser.ts";
import { pingVerdictPolicy, placeVerdictPolicy } from "./place-policy.ts";

/**
 * What this process knows of places: evidence by service and cluster, fed by requests (choosers) and by pings to
 * gateways, which speak for every service of a cluster. Outlives snapshots; `forget` drops what no snapshot names.
 */
export class PlaceHealth implements PlaceBoard {
  readonly #clock: Clock;
  readonly #evidence = new Map<ServiceHost, Map<ClusterId, PlaceEvidence>>();
  /** What pings have shown of clusters, for services that appear later. */
  readonly #pings = new Map<ClusterId, PingFacts>();
  #viewpoint: Viewpoint;
  #version = 0;

  constructor(clock: Clock, viewpoint: Viewpoint) {
    this.#clock = clock;
    this.#viewpoint = viewpoint;
  }

  get viewpoint(): Viewpoint {
    return this.#viewpoint;
  }

  get version(): number {
    return this.#version;
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
      evidence.leaving = pings.leaving;
    }
    clusters.set(cluster, evidence);
    return evidence;
  }

  othersOf(view: ServiceView, cluster: ClusterId): readonly PlaceEvidence[] {
    return view.places.filter((place) => place.cluster !== cluster).map((place) => this.evidenceOf(view, place.cluster));
  }

  conditionOf(view: ServiceView, place: Place): PlaceCondition {
    const judging = { policy: placeVerdictPolicy(view.policy.outlier), nowMs: this.#clock.monotonicMs() };
    return placeCondition(this.evidenceOf(view, place.cluster), this.othersOf(view, place.cluster), this.#reportOf(place), judging);
  }

  /** A gateway of the cluster answered a ping. */
  pingAnswered(cluster: ClusterId): void {
    const nowMs = this.#clock.monotonicMs();
    const facts = this.#pingsOf(cluster);
    facts.unanswered = 0;
    facts.lastPongMs = nowMs;
    for (const evidence of this.#evidenceIn(cluster)) recordPong(evidence, nowMs);
  }

  /** No gateway of the cluster answered within its bound; true when that lowers a place of it now. */
  pingUnanswered(cluster: ClusterId): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#pingsOf(cluster).unanswered++;
    let lowered = false;
    for (const evidence of this.#evidenceIn(cluster)) lowered = recordPingTimeout(evidence, pingVerdictPolicy, nowMs) || lowered;
    if (lowered) this.#version++;
    return lowered;
  }

  /** Whether the cluster's gateways have announced that they end. Requests go to other places while there are any. */
  setLeaving(cluster: ClusterId, isLeaving: boolean): void {
    const facts = this.#pingsOf(cluster);
    if (facts.leaving === isLeaving) return;
    facts.leaving = isLeaving;
    for (const evidence of this.#evidenceIn(cluster)) evidence.leaving = isLeaving;
    this.#version++;
  }

  /** One of a cluster's gateways leaves, or is back: choosers look at addresses again with their next request. */
  addressesChanged(): void {
    this.#version++;
  }

  /** Drops the evidence on services that are not among `hosts`. */
  forget(hosts: ReadonlyMap<ServiceHost, unknown>): void {
    for (const host of this.#evidence.keys()) {
      if (!hosts.has(host)) this.#evidence.delete(host);
    }
  }

  #pingsOf(cluster: ClusterId): PingFacts {
    const known = this.#pings.get(cluster);
    if (known !== undefined) return known;
    const facts = { unanswered: 0, lastPongMs: Number.NEGATIVE_INFINITY, leaving: false };
    this.#pings.set(cluster, facts);
    return facts;
  }

  *#evidenceIn(cluster: ClusterId): Generator<PlaceEvidence> {
    for (const clusters of this.#evidence.values()) {
      const evidence = clusters.get(cluster);
      if (evidence !== undefined) yield evidence;
    }
  }

  #reportOf(place: Place): PlaceReport {
    if (place.kind === "remote") {
      return { endpointsReady: place.endpointsReady, endpointsUnknown: place.endpointsUnknown ?? 0, endpointsTotal: place.endpointsTotal, ageMs: Math.max(0, this.#clock.nowMs() - place.asOfMs) };
    }
    const count = (readiness: EndpointView["readiness"]): number => place.endpoints.filter((endpoint) => endpoint.readiness === readiness).length;
    return { endpointsReady: count("ready"), endpointsUnknown: count("unknown"), endpointsTotal: place.endpoints.length, ageMs: 0 };
  }
}

interface PingFacts {
  unanswered: number;
  lastPongMs: number;
  leaving: boolean;
}
