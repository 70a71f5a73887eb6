import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { overloadsByService, overloadWords, type InstanceOverload } from "#federation/model/overload.ts";
import { parseRegionId } from "#federation/model/names.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { Explanation } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { renderTable, type Column } from "../table.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import type { Planes } from "../planes.ts";
import { instanceWords } from "./instance-words.ts";
import { withFederation } from "./federation.ts";
import { Patience } from "./patience.ts";

type ExplainedPlace = Explanation["places"][number];

const columns: readonly Column<ExplainedPlace>[] = [
  { title: "ORDER", value: (row) => String(row.order + 1), align: "right" },
  { title: "CLUSTER", value: (row) => row.cluster },
  { title: "REGION", value: (row) => row.region },
  { title: "VERDICT", value: (row) => row.verdict },
  { title: "READY", value: instanceWords, align: "right" },
  { title: "SHARE", value: (row) => `${Math.round(row.loadShare * 100)} %`, align: "right" },
  { title: "RTT", value: (row) => (row.roundTripMs === undefined ? "-" : `${Math.round(row.roundTripMs)} ms`), align: "right" },
  { title: "WHY", value: (row) => row.reason },
];

/** `atoll explain SERVICE --from REGION`: which places were considered, and why this one. */
export async function runExplain(context: CommandContext, service: string, options: { readonly from: string; readonly cluster?: string }): Promise<number> {
  const region = parseRegionId(options.from);
  const explanation = await withFederation(context, async ({ planes }) => {
    const candidates = options.cluster === undefined ? clustersToAsk(planes.plan, service, region) : [options.cluster];
    let failure: unknown;
    for (const cluster of candidates) {
      try {
        const { body } = await planes.cluster(cluster).call(clusterRoutes.explain, { query: { service, region } }, context.signal);
        return await withOverloads(body, planes, context);
      } catch (error) {
        // A plane that is down, or knows no such service, leaves the question to the next; the first answer counts.
        if (!isAtollError(error, "ATOLL_ADMIN_UNAVAILABLE", "ATOLL_NOT_FOUND")) throw error;
        failure ??= error;
      }
    }
    throw failure;
  });
  if (!printData(context, explanation)) printExplanation(context, explanation);
  return explanation.chosen === undefined ? 1 : 0;
}

/** A plane knows of its own instances which are overloaded; those of other places, as far as they answer, are asked for theirs. */
async function withOverloads(explanation: Explanation, planes: Planes, { terminal, signal }: CommandContext): Promise<Explanation> {
  using patience = new Patience(terminal.clock, signal);
  const places = await Promise.all(
    explanation.places.map(async (place) => {
      if (place.cluster === explanation.fromCluster || !planes.clusters.includes(place.cluster)) return place;
      const asked = await patience.ask(async (inner) => (await planes.cluster(place.cluster).call(clusterRoutes.status, {}, inner)).body);
      return asked.kind === "answer" ? withOverload(place, explanation.service, asked.value.overloads ?? []) : place;
    }),
  );
  return { ...explanation, places };
}

/** What a place's own plane says of the service's overload there, in front of why it stands where it does. */
export function withOverload(place: ExplainedPlace, host: string, overloads: readonly InstanceOverload[]): ExplainedPlace {
  const found = overloadsByService(overloads).find((row) => host.startsWith(`${row.service}.${row.namespace}.svc.`));
  if (found === undefined) return place;
  const { admits, asked } = found;
  return { ...place, overload: { admits, asked }, reason: `${overloadWords(found)}; ${place.reason}` };
}

/**
 * Which planes can tell: those in the region, of the service's own trust domain first, then those of that trust
 * domain elsewhere, which answer as if called from the region.
 * @throws {ATOLL_USAGE} when there is no such region.
 */
export function clustersToAsk(plan: FederationPlan, service: string, region: string): readonly string[] {
  if (!plan.regions.some((candidate) => candidate.name === region)) {
    throw new AtollError("ATOLL_USAGE", `there is no region ${region}; there are ${plan.regions.map((candidate) => candidate.name).join(", ")}`);
  }
  const owner = plan.workloads.find((workload) => service === `${workload.namespace}/${workload.service}` || service.startsWith(`${workload.service}.${workload.namespace}`))?.trustDomain;
  const rank = (cluster: FederationPlan["clusters"][number]): number => (cluster.region === region ? 0 : 2) + (owner === undefined || cluster.trustDomain === owner ? 0 : 1);
  return [...plan.clusters].sort((a, b) => rank(a) - rank(b)).map((cluster) => cluster.name);
}

function printExplanation(context: CommandContext, explanation: Explanation): void {
  const { terminal } = context;
  const { chosen, fromRegion, fromCluster, service, localityMode } = explanation;
  const chosenPlace = explanation.places.find((place) => place.cluster === chosen);
  const where = chosenPlace === undefined ? terminal.paint.bad("nowhere") : terminal.paint.good(`${chosenPlace.cluster} in ${chosenPlace.region}`);
  terminal.print(`${service}, called from ${fromRegion} (asked at ${fromCluster}, locality ${localityMode}): goes to ${where}`);
  terminal.print("");
  for (const line of renderTable(columns, [...explanation.places].sort((a, b) => a.order - b.order), terminal.width)) terminal.print(line);
  const stale = explanation.places.filter((place) => place.ageMs > 60_000).map((place) => `What is known of ${place.cluster} is ${describeAge(place.ageMs)} old.`);
  for (const note of [...explanation.notes, ...stale]) terminal.print(terminal.paint.dim(note));
}
