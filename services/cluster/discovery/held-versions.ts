import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import { inTurns } from "#federation/runtime/turns.ts";

/** Resources that are gone whose version is remembered; of others it is known that they were gone before the oldest of these. */
export const goneVersionsMax = 1_024;

/** Which version of what proxies are told was the first to hold the present form of each resource. Immutable. */
export interface HeldVersions {
  /** Of the state that this was made for. */
  readonly generations: ReadonlyMap<string, Generation>;
  readonly present: OrderedMap<{ readonly generation: Generation; readonly version: number }>;
  /** By resource that is gone, oldest first: the first version without it. */
  readonly gone: ReadonlyMap<string, number>;
  /** From this version on everything is gone that is in neither map. */
  readonly goneBefore: number;
}

export const nothingHeld: HeldVersions = { generations: OrderedMap.of<Generation>(), present: OrderedMap.of(), gone: new Map(), goneBefore: 0 };

/** What proxies are told of a first state. In turns: it may be of many resources. */
export async function firstHeldVersions(generations: ReadonlyMap<string, Generation>, version: number): Promise<HeldVersions> {
  let { present } = nothingHeld;
  await inTurns(generations, ([key, generation]) => {
    present = present.with(key, { generation, version });
  });
  return { ...nothingHeld, generations, present };
}

/** `before` after a state with `generations` has become `version`; the same version again when that changed nothing for proxies. Pure, O(changes log resources). */
export function nextHeldVersions(before: HeldVersions, generations: ReadonlyMap<string, Generation>, version: number): HeldVersions {
  let { present, goneBefore } = before;
  // At most `goneVersionsMax`, and copied only for a state in which something came or went.
  let gone: Map<string, number> | undefined;
  for (const key of changedKeys(before.generations, generations)) {
    const generation = generations.get(key);
    const known = present.get(key);
    if (generation === undefined) {
      present = present.without(key);
      gone ??= new Map(before.gone);
      gone.set(key, version);
    } else {
      if (known === undefined || compareGenerations(known.generation, generation) !== 0) present = present.with(key, { generation, version });
      if ((gone ?? before.gone).has(key)) {
        gone ??= new Map(before.gone);
        gone.delete(key);
      }
    }
  }
  for (const [key, since] of gone ?? []) {
    if (gone === undefined || gone.size <= goneVersionsMax) break;
    gone.delete(key);
    goneBefore = Math.max(goneBefore, since);
  }
  return { generations, present, gone: gone ?? before.gone, goneBefore };
}

/** The version from which on proxies have this form of a resource or a later one, or, without `wanted`, none of it; undefined: there is no such version yet. */
export function heldSince(held: HeldVersions, key: string, wanted: Generation | undefined): number | undefined {
  const known = held.present.get(key);
  if (wanted === undefined) return known === undefined ? (held.gone.get(key) ?? held.goneBefore) : undefined;
  return known !== undefined && compareGenerations(known.generation, wanted) >= 0 ? known.version : undefined;
}
