import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Place } from "#federation/model/snapshot.ts";
import { explainChoice } from "./explain.ts";
import type { Explanation, RoutingQuestion } from "./explain.ts";

/** What is imagined to be gone. */
export interface Loss {
  readonly regions: readonly RegionId[];
  readonly clusters: readonly ClusterId[];
}

/** One place before and after. */
export interface ShareChange {
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly lost: boolean;
  readonly shareBefore: number;
  readonly shareAfter: number;
  /** How many times its present load a place would get; Infinity when it has none now, 1 when nothing changes. */
  readonly loadFactor: number;
}

/** What a loss would do to the requests to one service from one place. */
export interface Simulation {
  readonly before: Explanation;
  readonly after: Explanation;
  readonly changes: readonly ShareChange[];
  /** False when nothing would be left to serve the caller, be it that the caller itself is in what is lost. */
  readonly served: boolean;
  readonly callerLost: boolean;
}

/** Routes with the same functions and verdicts, with the lost regions and clusters taken out. Changes nothing. */
export function simulateLoss(question: RoutingQuestion, loss: Loss): Simulation {
  const isLost = (place: Pick<Place, "cluster" | "region">): boolean => loss.regions.includes(place.region) || loss.clusters.includes(place.cluster);
  const before = explainChoice(question);
  const left = question.service.places.filter((place) => !isLost(place));
  const after = explainChoice({ ...question, service: { ...question.service, places: left } });
  const callerLost = isLost(question.viewpoint);
  const changes = before.places.map((place): ShareChange => {
    const shareAfter = after.places.find((other) => other.cluster === place.cluster)?.share ?? 0;
    return {
      cluster: place.cluster,
      region: place.region,
      lost: isLost(place),
      shareBefore: place.share,
      shareAfter,
      loadFactor: loadFactor(place.share, shareAfter),
    };
  });
  // A place that is merely lowered or unready is still tried, but nobody should count on it.
  const served = !callerLost && after.places.some((place) => place.share > 0 && place.readyRatio > 0);
  return { before, after, changes, served, callerLost };
}

function loadFactor(before: number, after: number): number {
  if (before === after) return 1;
  return before === 0 ? Number.POSITIVE_INFINITY : after / before;
}

/** The simulation as lines of text for a terminal. */
export function renderSimulation(simulation: Simulation): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const lines = simulation.changes.map((change) => {
    const arrow = `${percent(change.shareBefore)} -> ${percent(change.shareAfter)}`;
    return `${change.lost ? "x" : " "} ${change.cluster} (${change.region})  ${arrow}`;
  });
  return [`${simulation.before.service} from ${simulation.before.from.cluster}`, ...lines, `=> ${summary(simulation)}`].join("\n");
}

function summary(simulation: Simulation): string {
  if (simulation.callerLost) return "the caller itself is lost";
  return simulation.served ? `served by ${simulation.after.chosen}: ${simulation.after.because}` : "not served any more";
}
