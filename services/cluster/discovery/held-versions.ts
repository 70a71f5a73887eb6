import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";

/** Resources that are gone whose version is remembered; of others it is known that they were gone before the oldest of these. */
export const goneVersionsMax = 1_024;

/** Which version of what proxies are told was the first to hold the present form of each resource. Immutable. */
export interface HeldVersions {
  /** Of the state that this was made for. */
  readonly generations: ReadonlyMap<string, Generation>;
  /** What held the forms that came first. */
  readonly first: number;
  /** By resource, where its present form came later: the first version with it. */
  readonly later: OrderedMap<number>;
  /** By resource that is gone, oldest first: the first version without it. */
  readonly gone: ReadonlyMap<string, number>;
  /** From this version on everything is gone that is neither here nor in `gone`. */
  readonly goneBefore: number;
}

export const nothingHeld: HeldVersions = { generations: OrderedMap.of<Generation>(), first: 0, later: OrderedMap.of(), gone: new Map(), goneBefore: 0 };

/** What proxies are told of a first state. O(1): it may be of many resources. */
export function firstHeldVersions(generations: ReadonlyMap<string, Generation>, version: number): HeldVersions {
  return { ...nothingHeld, generations, first: version };
}

/** `before` after a state with `generations` has become `version`; the same version again when that changed nothing for proxies. Pure, O(changes log resources). */
export function nextHeldVersions(before: HeldVersions, generations: ReadonlyMap<string, Generation>, version: number): HeldVersions {
  let { later, goneBefore } = before;
  // At most `goneVersionsMax`, and copied only for a state in which something came or went.
  let gone: Map<string, number> | undefined;
  for (const key of changedKeys(before.generations, generations)) {
    const generation = generations.get(key);
    const known = before.generations.get(key);
    if (generation === undefined) {
      later = later.without(key);
      gone ??= new Map(before.gone);
      gone.set(key, version);
    } else {
      if (known === undefined || compareGenerations(known, generation) !== 0) later = later.with(key, version);
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
  return { ...before, generations, later, gone: gone ?? before.gone, goneBefore };
}

/** The version from which on proxies have this form of a resource or a later one, or, without `wanted`, none of it; undefined: there is no such version yet. */
export function heldSince(held: HeldVersions, key: string, wanted: Generation | undefined): number | undefined {
  const known = held.generations.get(key);
  if (wanted === undefined) return known === undefined ? (held.gone.get(key) ?? held.goneBefore) : undefined;
  return known !== undefined && compareGenerations(known, wanted) >= 0 ? (held.later.get(key) ?? held.first) : undefined;
}
