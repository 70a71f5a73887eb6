import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { History, Register, Seen, Sighting, Violation, ViolationKind, Write } from "./history.ts";

/** Everything in `history` that must not be, each register and kind at most once for each plane. Pure, O(registers × sightings). */
export function checkHistory(history: History): readonly Violation[] {
  const writes = Map.groupBy(history.writes, ({ register }) => register);
  const byPlane = Map.groupBy(history.sightings, ({ plane }) => plane);
  return history.registers.flatMap((register) => {
    const own = writes.get(register.id) ?? [];
    return [...checkPlanes(register, own, byPlane), ...checkStrays(register, own, history.strays), ...checkFinal(register, own, history.final)];
  });
}

function checkPlanes(register: Register, writes: readonly Write[], byPlane: ReadonlyMap<string, readonly Sighting[]>): readonly Violation[] {
  return [...byPlane].flatMap(([plane, sightings]) => {
    if (plane === register.origin) return checkOrigin(register, writes, sightings);
    if (register.audience.includes(plane)) return checkReceiver(register, writes, sightings);
    return sightings.some(({ values }) => values.has(register.id)) ? [violation("leaked", register, `${plane} shows it and is not meant to`)] : [];
  });
}

/** A linearizable register with one writer: each unmarked read shows the last acknowledged write, or a later one that had begun. */
function checkOrigin(register: Register, writes: readonly Write[], sightings: readonly Sighting[]): readonly Violation[] {
  const read = sightings.filter(({ isMarked }) => !isMarked);
  return firstOfEach([
    ...read.flatMap((sighting) => [...checkInvented(register, writes, sighting), ...checkFresh(register, writes, sighting)]),
    ...checkOrder(register, writes, read),
  ]);
}

/** Who does not lead any more shows what has been acknowledged by whoever does, or says that it is stale, or nothing. */
function checkStrays(register: Register, writes: readonly Write[], strays: readonly Sighting[]): readonly Violation[] {
  return firstOfEach(strays.filter(({ plane, isMarked }) => plane === register.origin && !isMarked).flatMap((sighting) => [...checkInvented(register, writes, sighting), ...checkFresh(register, writes, sighting)]));
}

function checkFresh(register: Register, writes: readonly Write[], sighting: Sighting): readonly Violation[] {
  const value = valueIn(sighting, register.id);
  const acknowledged = writes.findLastIndex(({ outcome, returnedMs }) => outcome === "ok" && returnedMs < sighting.invokedMs);
  const last = writes[acknowledged];
  if (last === undefined || value === last.value) return [];
  if (writes.slice(acknowledged + 1).some((write) => mayHaveHappened(write, sighting.returnedMs) && write.value === value)) return [];
  if (last.value === 0) return [violation("resurrected", register, `${sighting.plane} showed version ${value} after it had acknowledged the deletion`)];
  return [violation("stale", register, `${sighting.plane} showed ${versionWords(value)} after it had acknowledged version ${last.value}`)];
}

/** A receiver whose store stays may be behind, and never goes back: absent, then rising versions, then absent for good. */
function checkReceiver(register: Register, writes: readonly Write[], sightings: readonly Sighting[]): readonly Violation[] {
  const kept = sightings.filter(({ wasPutBack }) => !wasPutBack);
  return firstOfEach([...sightings.flatMap((sighting) => checkInvented(register, writes, sighting)), ...checkOrder(register, writes, kept), ...checkGenerations(register, kept)]);
}

function checkInvented(register: Register, writes: readonly Write[], sighting: Sighting): readonly Violation[] {
  const value = valueIn(sighting, register.id);
  if (value === 0 || writes.some((write) => mayHaveHappened(write, sighting.returnedMs) && write.value === value)) return [];
  return [violation("fabricated", register, `${sighting.plane} showed version ${value}, which nobody had written`)];
}

function checkOrder(register: Register, writes: readonly Write[], sightings: readonly Sighting[]): readonly Violation[] {
  const found: Violation[] = [];
  let before = 0;
  let wasLetGo = false;
  for (const sighting of sightings) {
    const value = valueIn(sighting, register.id);
    const { plane } = sighting;
    const mayBeDeleted = writes.some((write) => write.value === 0 && mayHaveHappened(write, sighting.returnedMs));
    if (value !== 0 && wasLetGo && mayBeDeleted) found.push(violation("resurrected", register, `${plane} showed version ${value} after it had let it go`));
    else if (value !== 0 && value < before) found.push(violation("backwards", register, `${plane} showed version ${value} after version ${before}`));
    if (value === 0 && before !== 0) {
      wasLetGo = true;
      if (!mayBeDeleted) found.push(violation("vanished", register, `${plane} let version ${before} go, which nobody had deleted`));
    }
    before = value;
  }
  return found;
}

function checkGenerations(register: Register, sightings: readonly Sighting[]): readonly Violation[] {
  let before: Seen | undefined;
  for (const { plane, values } of sightings) {
    const seen = values.get(register.id);
    if (seen?.generation !== undefined && before?.generation !== undefined && compareGenerations(seen.generation, before.generation) < 0) {
      const words = [before.generation, seen.generation].map(({ epoch, revision }) => `${epoch}/${revision}`);
      return [violation("backwards", register, `the generation at ${plane} went from ${words.join(" to ")}`)];
    }
    before = seen ?? before;
  }
  return [];
}

/** What is left when everything has healed: at the origin what was acknowledged, everywhere else what is at the origin. */
function checkFinal(register: Register, writes: readonly Write[], final: readonly Sighting[]): readonly Violation[] {
  const origin = final.find(({ plane }) => plane === register.origin);
  if (origin === undefined) return [violation("divergent", register, `${register.origin} showed nothing in the end`)];
  const value = valueIn(origin, register.id);
  const others = final.filter(({ plane }) => plane !== register.origin);
  return [
    ...checkKept(register, writes, value),
    ...others.flatMap((sighting) => {
      const expected = register.audience.includes(sighting.plane) ? value : 0;
      const shown = valueIn(sighting, register.id);
      if (shown === expected) return [];
      return [violation(register.audience.includes(sighting.plane) ? "divergent" : "leaked", register, `${sighting.plane} ended with ${versionWords(shown)}, ${register.origin} with ${versionWords(value)}`)];
    }),
  ];
}

/** A write of unknown outcome may take effect at any time, so that it is one of those that may be left. */
function checkKept(register: Register, writes: readonly Write[], value: number): readonly Violation[] {
  const last = writes.findLast(({ outcome }) => outcome === "ok");
  const may = new Set([last?.value ?? 0, ...writes.filter(({ outcome }) => outcome === "unknown").map((write) => write.value)]);
  if (may.has(value)) return [];
  if (last?.value === 0) return [violation("resurrected", register, `${register.origin} ended with version ${value}; its deletion was acknowledged`)];
  if (last === undefined) return [violation("fabricated", register, `${register.origin} ended with version ${value}; no write of it was acknowledged`)];
  return [violation("lost", register, `${register.origin} ended with ${versionWords(value)}; version ${last.value} was acknowledged`)];
}

function mayHaveHappened({ outcome, invokedMs }: Write, byMs: number): boolean {
  return outcome !== "failed" && invokedMs <= byMs;
}

function valueIn({ values }: Sighting, register: string): number {
  return values.get(register)?.value ?? 0;
}

function versionWords(value: number): string {
  return value === 0 ? "nothing" : `version ${value}`;
}

function violation(kind: ViolationKind, { id }: Register, detail: string): Violation {
  return { kind, register: id, detail };
}

/** One of each kind says enough: what follows from it would only be counted again. */
function firstOfEach(found: readonly Violation[]): readonly Violation[] {
  return found.filter(({ kind }, at) => found.findIndex((other) => other.kind === kind) === at);
}
