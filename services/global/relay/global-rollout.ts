import type { Cluster } from "#federation/model/resource.ts";
import { compareGenerations, globalOrigin, objectId, type ObjectPayload, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Rollout, RolloutSubject, RolloutTarget } from "#federation/model/rollout.ts";
import { receiverTarget, rolloutOf } from "#federation/replication/core/rollout.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";
import type { LinkState } from "./federation-status.ts";

/** What the global plane knows when somebody asks how far a write has come. */
export interface GlobalRolloutView {
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** What is published now, by object id. */
  readonly objects: ReadonlyMap<string, OpenedObject>;
  readonly offers: (cluster: Cluster, payload: ObjectPayload) => boolean;
  /** By cluster, like `links`. */
  readonly standings: ReadonlyMap<string, StandingOf>;
  readonly links: ReadonlyMap<string, LinkState>;
}

/** How far a write at the global plane has come with the clusters that it concerns. Pure, O(clusters). */
export function globalRollout(view: GlobalRolloutView, subject: RolloutSubject): Rollout {
  const id = objectId({ origin: globalOrigin, kind: subject.kind, key: subject.id });
  return rolloutOf(
    subject,
    [...view.clusters].flatMap(([name, cluster]) => targetOf(view, { name, cluster, id }, subject) ?? []),
  );
}

/** Undefined for a cluster that is not told of the resource and has nothing of it. */
function targetOf(view: GlobalRolloutView, { name, cluster, id }: { readonly name: string; readonly cluster: Cluster; readonly id: string }, { generation }: RolloutSubject): RolloutTarget | undefined {
  const standing = view.standings.get(name)?.(id);
  const link = view.links.get(name);
  const evidence = { kind: "cluster", name, standing, heardAgeMs: link?.heardAgeMs, behindMs: link?.lagMs ?? 0 } as const;
  const published = view.objects.get(id)?.payload;
  // A deletion that is signed is something to have.
  if (generation === undefined && published?.tombstone === true && view.offers(cluster, published)) return receiverTarget(evidence, published.generation);
  // Until the write is published, nobody can say whom it concerns, and nobody has it.
  const isKnown = generation !== undefined && published !== undefined && compareGenerations(published.generation, generation) >= 0;
  if (!isKnown || view.offers(cluster, published)) return receiverTarget(evidence, generation);
  // What it had before its write took the resource from it has to go, too.
  const mayHaveIt = standing !== undefined && (standing.generation !== undefined || (standing.isWithdrawn && !standing.isAcknowledged));
  return mayHaveIt ? receiverTarget(evidence, undefined) : undefined;
}
