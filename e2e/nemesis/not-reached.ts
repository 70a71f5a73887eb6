import type { Look } from "./ailments.ts";
import type { Register, Write } from "./history.ts";

/**
 * What was acknowledged by `byMs` and has not come to everybody whom it is meant for, a sentence each: they show it, or something later that
 * was written. A plane that shows nothing has not got it. Pure.
 */
export function notReached(look: Look, { registers, writes }: { readonly registers: readonly Register[]; readonly writes: readonly Write[] }, byMs: number): readonly string[] {
  return registers.flatMap(({ id, audience }) => {
    const own = writes.filter(({ register }) => register === id);
    const at = own.findLastIndex(({ outcome, returnedMs }) => outcome === "ok" && returnedMs <= byMs);
    const last = own[at];
    if (last === undefined) return [];
    const enough = own.slice(at).map(({ value }) => value);
    return audience.flatMap((plane) => {
      const sighting = look.get(plane);
      if (sighting === undefined || sighting instanceof Error) return [`${plane} does not show what it holds`];
      const shown = sighting.values.get(id)?.value ?? 0;
      // Of a write that is still under way nothing is recorded yet.
      return enough.includes(shown) || shown > last.value ? [] : [`${plane} holds version ${shown} of ${id}, of which version ${last.value} was acknowledged`];
    });
  });
}
