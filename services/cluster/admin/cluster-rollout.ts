import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { resourceKey } from "#federation/model/resource.ts";
import type { Rollout, RolloutState, RolloutSubject, RolloutTarget } from "#federation/model/rollout.ts";
import { isAtLeast, receiverTarget, rolloutOf, type ReceiverEvidence } from "#federation/replication/core/rollout.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { VersionStanding } from "../discovery/delta-stream.ts";
import type { DiscoveryService, HeldBy, ProxyStanding } from "../discovery/discovery-service.ts";
import type { LostProxy } from "../discovery/lost-proxies.ts";

/** What a cluster's plane knows when somebody asks how far a write has come in its cluster. */
export interface ClusterRolloutView {
  readonly cluster: string;
  readonly heldBy: DiscoveryService["heldBy"];
  /** The state that the published exports were made of; undefined before the first time. */
  readonly exported: ClusterState | undefined;
  /** What this cluster publishes, by object id. */
  readonly published: ReadonlyMap<string, OpenedObject>;
  /** The link to the global plane; its standing is undefined while there is no stream. */
  readonly global: Pick<ReceiverEvidence, "heardAgeMs" | "behindMs"> & { readonly standing: StandingOf | undefined };
}

/**
 * How far a write has come in a cluster: that its plane tells its proxies, what each of its proxies has acknowledged, and, of
 * what the cluster exports, whether the global plane has it. Pure, O(proxies).
 */
export function clusterRollout(view: ClusterRolloutView, subject: RolloutSubject): Rollout {
  const { proxies, lost, ...held } = view.heldBy(resourceKey(subject.kind, subject.id), subject.generation);
  return rolloutOf(subject, [planeTarget(view.cluster, held), ...globalTargets(view, subject), ...proxies.map(proxyTarget), ...lost.map(lostTarget)]);
}

/** A plane that has just begun to serve does not know yet of whom it would have to hear. */
function planeTarget(name: string, { isHeld, unsettledMs, heldBack }: Pick<HeldBy, "isHeld" | "unsettledMs" | "heldBack">): RolloutTarget {
  if (!isHeld && heldBack !== undefined) {
    const { state, proxies, reason = "", triedAgain } = heldBack;
    if (triedAgain === true) return { kind: "plane", name, state: "pending", reason: `proxy ${proxies.join(", ")} was told of it first: ${reason}; it is tried again, and the others keep the one before` };
    if (state === "stopped") return { kind: "plane", name, state: "refused", reason: `proxy ${proxies.join(", ")} was told of it first: ${reason}; the others keep the one before` };
    if (state === "tried") return { kind: "plane", name, state: "pending", reason: `it is tried by ${proxies.join(", ")} first` };
    return { kind: "plane", name, state: "pending", reason: "it waits until a proxy can try it first" };
  }
  if (!isHeld || unsettledMs === 0) return { kind: "plane", name, state: isHeld ? "done" : "pending" };
  return { kind: "plane", name, state: "pending", reason: `its plane has just begun to serve, and proxies may come back to it within ${Math.ceil(unsettledMs / 1_000)} s` };
}

function lostTarget({ name, ageMs }: LostProxy): RolloutTarget {
  return { kind: "proxy", name, state: "unreachable", heardAgeMs: Math.floor(ageMs) };
}

const stateOf: Readonly<Record<VersionStanding["kind"], RolloutState>> = { acknowledged: "done", pending: "pending", refused: "refused" };

/** One that owes an answer while it has not got the write: for how long, so that who stands still is told from who is about to have it. */
function proxyTarget({ name, standing, unansweredMs }: ProxyStanding): RolloutTarget {
  const isBehind = standing.kind === "pending" && unansweredMs !== undefined;
  return { kind: "proxy", name, state: stateOf[standing.kind], ...(isBehind ? { behindMs: Math.floor(unansweredMs) } : {}), ...(standing.kind === "refused" ? { reason: standing.message } : {}) };
}

/** The global plane, where it is to be told of the write: others learn of an export there. */
function globalTargets({ cluster, exported, published, global }: ClusterRolloutView, { kind, id, generation }: RolloutSubject): readonly RolloutTarget[] {
  if (kind !== "ServiceExport" && kind !== "Service") return [];
  const exportId = objectId({ origin: cluster, kind: "ServiceExport", key: id });
  const said = published.get(exportId)?.payload;
  // A service that nobody exports is nobody else's business; nor is one that is neither exported any more nor was in this life of the store.
  if (kind === "Service" && said === undefined) return [];
  const evidence: ReceiverEvidence = { ...global, kind: "global", name: "global", standing: global.standing?.(exportId) };
  // Until what is published was made of the write, the global plane cannot have it.
  const isPublished = exported !== undefined && isAtLeast(exported.generations.get(resourceKey(kind, id)), generation);
  if (!isPublished) return [receiverTarget({ ...evidence, standing: undefined }, generation)];
  const isSaid = said !== undefined && !said.tombstone;
  if (kind === "ServiceExport" && generation !== undefined && !isSaid) {
    return [{ kind: "global", name: "global", state: "pending", reason: "nothing is exported by it: there is no Service of this name, or the cluster's exportNamespaces do not hold the namespace" }];
  }
  return [receiverTarget(evidence, said?.generation)];
}
