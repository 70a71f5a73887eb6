import type { BundleRow, RootRotation } from "#federation/admin-api/plane-routes.ts";
import type { Cluster, Relationship } from "#federation/model/resource.ts";
import { stepFrom, type RotationPhase } from "#federation/model/root-rotation.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { Asked } from "./patience.ts";

/** What is known of a rotation and of everybody who has to go along with it. */
export interface RotationView {
  readonly rotation: RootRotation;
  /** The cluster whose plane is the signer. */
  readonly signer: string;
  /** All of the federation. */
  readonly clusters: readonly Cluster[];
  readonly relationships: readonly Relationship[];
  /** What each of `concernedClusters` has answered of its bundles. */
  readonly asked: ReadonlyMap<string, Asked<readonly BundleRow[]>>;
}

/** A cluster for which the next step has to wait, and why. */
export interface RotationWait {
  readonly cluster: string;
  readonly cause: "unlisted" | "silent" | "unsaid" | "behind" | "proxies" | "unsettled" | "intermediate" | "svids";
  readonly reason: string;
}

/** The clusters of `trustDomain`, and those of each trust domain that a relationship with it names: all that verify by its roots. Pure. */
export function concernedClusters(trustDomain: string, clusters: readonly Cluster[], relationships: readonly Relationship[]): readonly Cluster[] {
  const named = relationships.map(({ spec }) => [spec.caller.trustDomain, spec.callee.trustDomain]).filter((sides) => sides.some((side) => side === trustDomain));
  const domains = new Set<string>([trustDomain, ...named.flat()]);
  return clusters.filter(({ spec }) => domains.has(spec.trustDomain));
}

/** For whom the next step of a rotation has to wait; none: it can be taken. Pure, O(clusters). */
export function rotationWaits({ rotation, signer, clusters, relationships, asked }: RotationView): readonly RotationWait[] {
  const { trustDomain } = rotation;
  const concerned = concernedClusters(trustDomain, clusters, relationships);
  // A global plane whose store was put back may know none of them.
  const isListed = concerned.some(({ metadata, spec }) => metadata.name === signer && spec.trustDomain === trustDomain);
  const unlisted: readonly RotationWait[] = isListed ? [] : [{ cluster: signer, cause: "unlisted", reason: "the global plane does not know it, nor perhaps others" }];
  const waits = concerned.flatMap(({ metadata: { name }, spec }) => waitOf(rotation, name, spec.trustDomain === trustDomain, asked.get(name)) ?? []);
  return [...unlisted, ...waits].toSorted((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

/** What the next step waits for, in words; without anybody's name where it waits for nobody. Pure. */
export function nextWords(phase: RotationPhase, waits: readonly RotationWait[]): string {
  const step = stepFrom[phase];
  return waits.length === 0 ? `${step} waits for nobody` : `${step} waits for ${waits.map(({ cluster, reason }) => `${cluster} (${reason})`).join("; ")}`;
}

function waitOf(rotation: RootRotation, cluster: string, isOwn: boolean, asked: Asked<readonly BundleRow[]> | undefined): RotationWait | undefined {
  if (asked?.kind !== "answer") return { cluster, cause: "silent", reason: `its plane does not answer: ${describeError(asked?.error)}` };
  const row = asked.value.find(({ trustDomain }) => trustDomain === rotation.trustDomain);
  // A cluster of another trust domain without it verifies nobody by it: no relationship is in force there.
  if (row === undefined) return isOwn ? { cluster, cause: "unsaid", reason: "its plane names no roots of its own trust domain" } : undefined;
  const { sequence, proxies, intermediate } = row;
  if (sequence < rotation.sequence) return { cluster, cause: "behind", reason: `has the bundle of sequence ${sequence}` };
  if (proxies === undefined) return { cluster, cause: "unsaid", reason: "its plane is of a version that does not say what its proxies have" };
  if (proxies.lack > 0) return { cluster, cause: "proxies", reason: `proxies without the bundle: ${namesOf(proxies)}` };
  if (proxies.unsettledMs > 0) return { cluster, cause: "unsettled", reason: "its plane has just begun to serve, and proxies may come back to it" };
  if (!isOwn || rotation.phase !== "draining") return undefined;
  if (intermediate?.rootSha256 !== rotation.issuingSha256) return { cluster, cause: "intermediate", reason: "issues by its intermediate of the former root" };
  if (intermediate.earlierSvidsLeftMs > 0) return { cluster, cause: "svids", reason: `its last SVID of the former root ends in ${Math.ceil(intermediate.earlierSvidsLeftMs / 1_000)} s` };
  return undefined;
}

function namesOf({ lack, lacking }: NonNullable<BundleRow["proxies"]>): string {
  return `${lacking.join(", ")}${lack > lacking.length ? ` and ${lack - lacking.length} more` : ""}`;
}
