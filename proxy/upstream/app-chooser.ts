import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Candidate, Chooser, Outcome, Tries } from "./chooser.ts";
import type { UpstreamPool } from "./upstream.ts";

/** The one target behind a sidecar: its own app. */
export class AppChooser implements Chooser, Candidate {
  readonly pool: UpstreamPool;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly seriesKey = "app";
  #inFlight = 0;

  constructor(pool: UpstreamPool, cluster: ClusterId, region: RegionId) {
    this.pool = pool;
    this.cluster = cluster;
    this.region = region;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  choose(tries: Tries): Candidate {
    tries.last = this;
    this.#inFlight++;
    this.pool.load.inFlight++;
    return this;
  }

  readonly hasOthers = false;
  readonly hasReachable = true;

  chooseWithRoom(): undefined {
    return undefined;
  }

  report(_candidate: Candidate, _outcome: Outcome): void {
    this.#inFlight--;
    this.pool.load.inFlight--;
  }
}
