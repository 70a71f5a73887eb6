import { createHash } from "node:crypto";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import { resourceId, type Kind } from "#federation/model/resource.ts";
import type { Rollout, RolloutSubject } from "#federation/model/rollout.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { rolloutRoute, rolloutTargetsMax, type RolloutAnswer, type RolloutQuery } from "./rollout-route.ts";
import type { RolloutWaits } from "./rollout-waits.ts";
import { implement, type Operation } from "./route.ts";

/** What a plane knows of the rollout of its resources of one kind. */
export interface RolloutSource {
  /** Position of the present form of a resource; undefined when there is none. */
  readonly generationOf: (id: string, signal: AbortSignal) => Promise<Generation | undefined>;
  /** The epoch of the store that those positions are of. */
  readonly epoch: number;
  /** True where the resources are written here; elsewhere a form that somebody asks about may still be on its way. */
  readonly isOwner: boolean;
  /** How far it has come at this moment. */
  readonly look: (subject: RolloutSubject) => Rollout;
}

/** Answers how far the last write of a resource of `kind` has come. */
export function rolloutOperation(kind: Kind, source: RolloutSource, { waits, clock }: { readonly waits: RolloutWaits; readonly clock: Clock }): Operation {
  return implement(rolloutRoute(kind), async ({ params, query }, signal) => {
    const id = resourceId(params);
    const generation = await subjectGeneration(kind, id, source, query, signal);
    const look = (): RolloutAnswer => answerOf(source.look({ kind, id, generation }), clock.nowMs());
    const seen = query.seen ?? look().state;
    const body = await waits.until(look, (answer) => answer.done || answer.state !== seen, (query.wait ?? 0) * 1_000, signal);
    return { body };
  });
}

/** Which form the question is about. @throws {ATOLL_NOT_FOUND | ATOLL_STORE_CONFLICT} */
async function subjectGeneration(kind: Kind, id: string, source: RolloutSource, query: RolloutQuery, signal: AbortSignal): Promise<Generation | undefined> {
  const present = await source.generationOf(id, signal);
  if (query.deleted === true) {
    if (present !== undefined && source.isOwner) throw new AtollError("ATOLL_STORE_CONFLICT", `${kind} ${id} is there, at revision ${present.revision}; ask without deleted`);
    return undefined;
  }
  const { revision, epoch = present?.epoch ?? source.epoch } = query;
  const asked = revision === undefined ? undefined : { epoch, revision };
  if (present === undefined && (asked === undefined || source.isOwner)) throw new AtollError("ATOLL_NOT_FOUND", `there is no ${kind} ${id}; ask with deleted=true about its deletion`);
  if (asked === undefined || (present !== undefined && compareGenerations(present, asked) >= 0)) return present;
  if (source.isOwner) throw new AtollError("ATOLL_STORE_CONFLICT", `${kind} ${id} is at revision ${present?.revision ?? 0} of epoch ${present?.epoch ?? 0}, before the one that is asked about; was the store restored?`);
  return asked;
}

function answerOf({ kind, id, generation, done, counts, targets }: Rollout, nowMs: number): RolloutAnswer {
  const named = targets.slice(0, rolloutTargetsMax);
  // Ages move by themselves: what has changed is who is in which state.
  const state = createHash("sha256").update(JSON.stringify([generation, counts, named.map((target) => [target.kind, target.name, target.state])])).digest("hex").slice(0, 32);
  return {
    kind,
    id,
    ...(generation === undefined ? {} : { generation }),
    done,
    counts,
    targets: named.map((target) => ({ ...target })),
    targetsLeftOut: targets.length - named.length,
    asOfMs: Math.floor(nowMs),
    state,
  };
}
