import { overloadWords } from "#federation/model/overload.ts";
import type { Overload } from "#federation/model/overload.ts";
import type { ClusterId, RegionId, ServiceHost } from "#federation/model/names.ts";
import type { GatewayAddress, ServiceView } from "#federation/model/snapshot.ts";
import type { PlaceCondition, Verdict } from "#federation/model/verdict.ts";
import { orderPlaces } from "./order-places.ts";
import type { RankedPlace, Viewpoint } from "./order-places.ts";
import { shareLoad } from "./share-load.ts";
import type { PlaceShares } from "./share-load.ts";

/** One considered place, in the order of preference. */
export interface ExplainedPlace {
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly level: number;
  readonly verdict: Verdict;
  readonly lowered: boolean;
  readonly readyRatio: number;
  readonly capacity: number;
  readonly roundTripMs?: number;
  /** Since its origin said what is known of it, in ms: how long nothing has changed there, and no measure of freshness. Absent for one's own cluster. */
  readonly changedAgeMs?: number;
  /** Where its gateways are, with the names that their addresses were resolved from; absent for one's own cluster. */
  readonly gateways?: readonly GatewayAddress[];
  /** Share of the traffic in [0, 1]. */
  readonly share: number;
  /** Why it gets this share. */
  readonly because: string;
  /** The latest refusal of our requests there; it lowers nothing. */
  readonly refusal?: PlaceRefusal;
  /** What is known of the load of its applications; it lowers nothing either. */
  readonly load?: PlaceLoad;
}

/** The load of a place, as its own sidecars said it or as our requests there show it. */
export interface PlaceLoad {
  /** What its sidecars said last, over all addresses that we use. */
  readonly report?: {
    /** How long requests wait for admission, ms. */
    readonly queueDelayMs: number;
    /** Of what the limits allow, in [0, 1]. */
    readonly utilizationRatio: number;
    /** Further requests that would be admitted at once. */
    readonly headroom: number;
  };
  readonly overload?: Overload;
}

/** What a callee's sidecar answered instead of its application. */
export interface PlaceRefusal {
  readonly reason: string;
  readonly count: number;
  /** Wall-clock ms of the latest. */
  readonly lastMs: number;
}

/** Why requests to a service go where they go. */
export interface Explanation {
  readonly service: ServiceHost;
  readonly from: { readonly region: RegionId; readonly cluster: ClusterId };
  readonly mode: PlaceShares["order"]["mode"];
  readonly places: readonly ExplainedPlace[];
  /** The first choice of most requests; absent when the service has no place. */
  readonly chosen?: ClusterId;
  readonly because: string;
}

/** What explain and simulate look at. */
export interface RoutingQuestion {
  readonly service: Pick<ServiceView, "host" | "places" | "policy">;
  readonly viewpoint: Viewpoint;
  /** What the observer holds of each cluster as a place of this service. */
  readonly conditionOf: (cluster: ClusterId) => PlaceCondition;
  /** What was refused there lately; nothing unless given. */
  readonly refusalOf?: (cluster: ClusterId) => PlaceRefusal | undefined;
  /** The load there; unknown unless given. */
  readonly loadOf?: (cluster: ClusterId) => PlaceLoad | undefined;
  /** Wall-clock ms, for ages only. */
  readonly nowMs: number;
}

/** Answers "why this region" with the same functions that route the request. */
export function explainChoice(question: RoutingQuestion): Explanation {
  const { service, viewpoint } = question;
  const order = orderPlaces(service.places, service.policy.locality, viewpoint);
  const conditions = order.places.map((ranked) => question.conditionOf(ranked.place.cluster));
  const load = shareLoad(order, conditions);
  const places = order.places.map((ranked, index) => explainPlace(ranked, { condition: conditions[index], load, index, nowMs: question.nowMs, refusal: question.refusalOf?.(ranked.place.cluster), placeLoad: question.loadOf?.(ranked.place.cluster) }));
  const from = { region: viewpoint.region, cluster: viewpoint.cluster };
  const chosenIndex = mostLoaded(load);
  const chosen = places[chosenIndex];
  if (chosen === undefined) {
    return { service: service.host, from, mode: order.mode, places, because: "no cluster offers this service to us" };
  }
  return { service: service.host, from, mode: order.mode, places, chosen: chosen.cluster, because: chosen.because };
}

function mostLoaded(load: PlaceShares): number {
  let best = load.lastResort[0] ?? -1;
  for (let index = 0; index < load.shares.length; index++) {
    if ((load.shares[index] ?? 0) > (load.shares[best] ?? 0)) best = index;
  }
  return best;
}

interface PlaceFacts {
  readonly condition: PlaceCondition | undefined;
  readonly load: PlaceShares;
  readonly index: number;
  readonly nowMs: number;
  readonly refusal: PlaceRefusal | undefined;
  readonly placeLoad: PlaceLoad | undefined;
}

function explainPlace(ranked: RankedPlace, facts: PlaceFacts): ExplainedPlace {
  const { place } = ranked;
  const { refusal, placeLoad } = facts;
  return {
    cluster: place.cluster,
    region: place.region,
    level: ranked.level,
    verdict: facts.condition?.verdict ?? "unknown",
    lowered: facts.condition?.lowered ?? false,
    readyRatio: ranked.readyRatio,
    capacity: ranked.capacity,
    ...(ranked.roundTripMs === undefined ? {} : { roundTripMs: ranked.roundTripMs }),
    ...(place.kind === "local" ? {} : { changedAgeMs: Math.max(0, facts.nowMs - place.asOfMs), gateways: place.gateways }),
    share: facts.load.shares[facts.index] ?? 0,
    because: [
      ...(place.kind === "remote" && place.gateways.length === 0 ? ["passed over: no address of a gateway is known"] : []),
      ...(placeLoad?.overload === undefined ? [] : [overloadWords(placeLoad.overload)]),
      ...(refusal === undefined ? [] : [`refuses us: ${refusal.reason}, last at ${new Date(refusal.lastMs).toISOString()}`]),
      reasonOf(ranked, facts),
    ].join("; "),
    ...(refusal === undefined ? {} : { refusal }),
    ...(placeLoad === undefined ? {} : { load: placeLoad }),
  };
}

function reasonOf(ranked: RankedPlace, facts: PlaceFacts): string {
  const { load } = facts;
  const state = facts.condition?.reason ?? "nothing observed yet";
  if (facts.condition?.lowered === true) return `last resort: ${state}`;
  if (ranked.capacity === 0) return "no instance is registered there";
  const share = load.shares[facts.index] ?? 0;
  if (load.levelLoads.every((levelLoad) => levelLoad === 0)) return share > 0 ? "nothing is ready anywhere, so readiness is ignored" : state;
  if (share === 0) return ranked.readyRatio === 0 ? "no instance is ready there" : "nearer places carry all traffic";
  if (load.panicked[ranked.level] === true) return "panic: under half of its level is ready and nothing else can take the rest, so readiness is ignored";
  if (load.order.mode === "weights" && ranked.level === 0) return `its share by weight; ${state}`;
  const levelLoad = load.levelLoads[ranked.level] ?? 0;
  if (levelLoad === 0) return "a few requests come here to compare a slow place with";
  if (ranked.level === 0) return `${nearness(ranked)}; ${levelLoad < 1 ? "it cannot carry all traffic" : state}`;
  return levelLoad < 1 ? "takes what nearer places cannot carry" : `nearest that can serve; ${state}`;
}

function nearness(ranked: RankedPlace): string {
  return ranked.own ? "own cluster" : "first in order";
}

/** The explanation as lines of text for a terminal, without colours. */
export function renderExplanation(explanation: Explanation): string {
  const { from } = explanation;
  const head = `${explanation.service} from ${from.cluster} (${from.region}), locality ${explanation.mode}`;
  const chosen = explanation.chosen === undefined ? "goes nowhere" : `goes to ${explanation.chosen}`;
  const rows = explanation.places.map((place) => [
    String(place.level),
    place.cluster,
    place.region,
    place.lowered ? `${place.verdict} (lowered)` : place.verdict,
    `${Math.round(place.readyRatio * 100)} % of ${place.capacity}`,
    place.roundTripMs === undefined ? "-" : `${place.roundTripMs.toFixed(1)} ms`,
    place.changedAgeMs === undefined ? "-" : `${(place.changedAgeMs / 1000).toFixed(1)} s`,
    `${(place.share * 100).toFixed(1)} %`,
    place.because,
  ]);
  const table = alignColumns([["LEVEL", "CLUSTER", "REGION", "VERDICT", "READY", "RTT", "CHANGED", "SHARE", "WHY"], ...rows]);
  return [head, ...(rows.length === 0 ? [] : table), `=> ${chosen}: ${explanation.because}`].join("\n");
}

function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
}
