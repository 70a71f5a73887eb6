import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { TriedPlaces, triesRememberedMax } from "#federation/routing/choose-place.ts";
import type { UpstreamPool } from "./upstream.ts";

/**
 * How one try ended, as evidence on its target. `connectFailure` and `reset` speak of the target itself, `timeout` and
 * `gatewayError` only in comparison with others (ADR 13). `cancelled` (the client left), `refused` (a policy said no),
 * `overloaded` (admission did, for its application) and `busy` (the callee's sidecar itself had no time) are no evidence about
 * health; the last two hold back what comes next.
 */
export type Outcome = "success" | "connectFailure" | "reset" | "timeout" | "gatewayError" | "refused" | "overloaded" | "busy" | "cancelled";

/** What is chosen when every target would refuse: the request is refused here, at no cost to them. */
export const throttled = "throttled";

/** One address that can serve a request. Lives as long as the snapshot's entry it was made from. */
export interface Candidate {
  readonly pool: UpstreamPool;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  /** Counters of its place, kept by the telemetry stage. */
  readonly seriesKey: string;
}

/** What one request has tried; part of its Exchange and reset between requests. */
export class Tries {
  readonly places = new TriedPlaces();
  readonly #clusters: ClusterId[] = [];
  /** The latest choice: the next one differs from it when it can. */
  last: Candidate | undefined = undefined;
  /** The state the indices in `places` belong to. */
  basis: unknown = undefined;

  /** The place of `cluster` was tried, the one at `index` in the order that is the basis. */
  add(index: number, cluster: ClusterId): void {
    this.places.add(index);
    if (this.#clusters.length < triesRememberedMax) this.#clusters.push(cluster);
  }

  /** The order of places is another now; `indexOf` says where a cluster's place stands in it, or -1. */
  rebase(basis: unknown, indexOf: (cluster: ClusterId) => number): void {
    this.basis = basis;
    this.places.reset();
    for (const cluster of this.#clusters) {
      const index = indexOf(cluster);
      if (index !== -1) this.places.add(index);
    }
  }

  reset(): void {
    this.places.reset();
    this.#clusters.length = 0;
    this.last = undefined;
    this.basis = undefined;
  }
}

/** Chooses where requests to one port of one service go. Synchronous; every `choose` is followed by one `report`. */
export interface Chooser {
  /**
   * The next target, at another place than those tried while there is one; undefined when the service has none. `priority` is
   * an index in `priorityClasses`. Only a candidate is to be reported on.
   */
  choose(tries: Tries, priority: number): Candidate | typeof throttled | undefined;
  /** A target besides the latest that reports room for more; undefined when there is none. */
  chooseWithRoom(tries: Tries): Candidate | undefined;
  /** Whether there is a target that can be reached, as far as is known: who waits at a silent one is sent on only then. */
  readonly hasReachable: boolean;
  report(candidate: Candidate, outcome: Outcome): void;
  /** There is more than one target: who waits at one for too long can go elsewhere. */
  readonly hasOthers: boolean;
  /** Requests on their way to this port of the service. */
  readonly inFlight: number;
}
