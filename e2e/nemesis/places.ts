import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { planeName } from "#services/cli/up/planned-process.ts";
import { livePlan } from "../bench/replication/live/live-plan.ts";

/** Two clusters of one team in two regions, and one of another team that nobody shares anything with. */
export const nemesisPlan: FederationPlan = { ...livePlan, federation: "nemesis.atoll", clusters: nemesisClusters() };

/** Every plane by its name. */
export const planes = ["global", ...nemesisPlan.clusters.map(({ name }) => name)] as const;

/** Who hears of what a plane is told: policies go to every cluster; what a cluster exports goes to the global plane and to its own team. */
export function audienceOf(origin: string): readonly string[] {
  const team = teamOf(origin);
  return planes.filter((plane) => plane !== origin && (origin === "global" || plane === "global" || teamOf(plane) === team));
}

/** The name of a plane's process. */
export function processOf(plane: string): string {
  return plane === "global" ? plane : planeName(plane);
}

/** The process that is a plane's store, and nobody else's, on real engines. */
export function etcdOf(plane: string): string {
  return `${plane}-etcd`;
}

/** Processes of the bus. */
export function busProcesses(engines: boolean): readonly string[] {
  return engines ? ["global", ...nemesisPlan.regions.map(({ name }) => name)].map((place) => `${place}-nats`) : ["bus"];
}

/** Processes that are stores, on real engines. */
export function storeProcesses(engines: boolean): readonly string[] {
  return engines ? planes.map((plane) => etcdOf(plane)) : [];
}

function nemesisClusters(): FederationPlan["clusters"] {
  const [one, two] = livePlan.clusters;
  if (one === undefined || two === undefined) throw new Error("the plan of two clusters has fewer");
  return [one, two, { ...two, name: "pay-one", trustDomain: "pay.example", isSigner: true }];
}

function clusterOf(plane: string): FederationPlan["clusters"][number] | undefined {
  return nemesisPlan.clusters.find(({ name }) => name === plane);
}

function teamOf(plane: string): string | undefined {
  return clusterOf(plane)?.trustDomain;
}
