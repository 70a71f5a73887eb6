import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { planeName } from "#services/cli/up/planned-process.ts";
import { livePlan } from "../bench/replication/live/live-plan.ts";

/** Two clusters of one team in two regions, and one of another team that nobody shares anything with. */
export const nemesisPlan: FederationPlan = { ...livePlan, federation: "nemesis.atoll", clusters: nemesisClusters() };

/** What a federation stands on: SQLite and the hub, or real engines, of one member each or of three. */
export type Ground = "embedded" | "engines" | "members";

/** Of each engine, where there is more than one. */
const membersMax = 3;

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

/** The processes that are a plane's store, and nobody else's; none where the plane itself is. */
export function etcdsOf(plane: string, ground: Ground): readonly string[] {
  return membersOf(`${plane}-etcd`, ground);
}

/** Processes of the bus, by the place that they stand in. */
export function busProcesses(ground: Ground): readonly (readonly string[])[] {
  if (ground === "embedded") return [["bus"]];
  return ["global", ...nemesisPlan.regions.map(({ name }) => name)].map((place) => membersOf(`${place}-nats`, ground));
}

/** Processes that are stores. */
export function storeProcesses(ground: Ground): readonly string[] {
  return planes.flatMap((plane) => etcdsOf(plane, ground));
}

function membersOf(engine: string, ground: Ground): readonly string[] {
  if (ground === "embedded") return [];
  return ground === "engines" ? [engine] : Array.from({ length: membersMax }, (_, at) => `${engine}-${at + 1}`);
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
