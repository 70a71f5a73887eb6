import { compareGenerations, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { ObjectStanding } from "#federation/replication/core/publisher.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";

/** What a publisher says of one receiver. */
export interface ToldLink {
  /** By object id, offered to this receiver or not. */
  readonly published: ReadonlyMap<string, OpenedObject>;
  readonly standing: StandingOf;
}

/** By object id, what a receiver has in its store. */
export type Held = ReadonlyMap<string, Generation>;

/** What a publisher says that a receiver has, or has let go. */
export type Done = ReadonlyMap<string, { readonly isHeld: boolean; readonly generation: Generation }>;

/** What the publisher knows to be done now: acknowledged, not refused, and nothing later on its way. Pure. */
export function doneOf({ published, standing }: ToldLink): Done {
  const done = new Map<string, { readonly isHeld: boolean; readonly generation: Generation }>();
  for (const [id, { payload }] of published) {
    const one = standing(id);
    if (!one.isAcknowledged || one.refusal !== undefined) continue;
    if (isGone(one)) done.set(id, { isHeld: false, generation: payload.generation });
    else if (one.generation !== undefined && compareGenerations(one.generation, payload.generation) === 0) done.set(id, { isHeld: !payload.tombstone, generation: one.generation });
  }
  return done;
}

/** Of what was done before `held` was read and was done after it, what is not so. Pure. */
export function notAsDone(before: Done, held: Held, after: Done): readonly string[] {
  return [...before].flatMap(([id, { isHeld, generation }]) => {
    const still = after.get(id);
    if (still?.isHeld !== isHeld || compareGenerations(still.generation, generation) !== 0) return [];
    const has = held.get(id);
    const isSo = isHeld ? has !== undefined && compareGenerations(has, generation) >= 0 : has === undefined;
    return isSo ? [] : [`${id} ${isHeld ? "in its present form" : "to be gone"}`];
  });
}

function isGone({ generation, isWithdrawn }: ObjectStanding): boolean {
  return generation === undefined && isWithdrawn;
}
