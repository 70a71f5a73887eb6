import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";

/** Resources that are gone whose version is remembered; of others it is known that they were gone before the oldest of these. */
export const goneVersionsMax = 1_024;

/** Which version of what proxies are told was the first to hold the present form of each resource. Immutable. */
export interface HeldVersions {
  readonly present: ReadonlyMap<string, { readonly generation: Generation; readonly version: number }>;
  /** By resource that is gone, oldest first: the first version without it. */
  readonly gone: ReadonlyMap<string, number>;
  /** From this version on everything is gone that is in neither map. */
  readonly goneBefore: number;
}

export const nothingHeld: HeldVersions = { present: new Map(), gone: new Map(), goneBefore: 0 };

/** `before` after a state with `generations` has become `version`; the same version again when that changed nothing for proxies. Pure, O(resources). */
export function nextHeldVersions(before: HeldVersions, generations: ReadonlyMap<string, Generation>, version: number): HeldVersions {
  const present = new Map<string, { readonly generation: Generation; readonly version: number }>();
  const gone = new Map(before.gone);
  for (const [key, generation] of generations) {
    const known = before.present.get(key);
    present.set(key, known !== undefined && compareGenerations(known.generation, generation) === 0 ? known : { generation, version });
    gone.delete(key);
  }
  for (const key of before.present.keys()) if (!generations.has(key)) gone.set(key, version);
  let { goneBefore } = before;
  for (const [key, since] of gone) {
    if (gone.size <= goneVersionsMax) break;
    gone.delete(key);
    goneBefore = Math.max(goneBefore, since);
  }
  return { present, gone, goneBefore };
}

/** The version from which on proxies have this form of a resource or a later one, or, without `wanted`, none of it; undefined: there is no such version yet. */
export function heldSince(held: HeldVersions, key: string, wanted: Generation | undefined): number | undefined {
  const known = held.present.get(key);
  if (wanted === undefined) return known === undefined ? (held.gone.get(key) ?? held.goneBefore) : undefined;
  return known !== undefined && compareGenerations(known.generation, wanted) >= 0 ? known.version : undefined;
}
