import { createSeededRandom, type Random } from "#federation/runtime/random.ts";
import { busProcesses, etcdsOf, planes, processOf, storeProcesses, type Ground } from "./places.ts";

/** What a fault does, and the numbers that the catalogue of reference faults gives it. */
export const faultKinds = {
  kill: "a process is killed and comes back later (F1, F16, F17)",
  freeze: "a process stands still (F11, F23)",
  cut: "a plane is cut from the bus, both ways (F2, F13)",
  "cut-one-way": "a plane's messages are held, or what others say to it (F6)",
  rollback: "a store is put back to what it held before, under a plane that runs (F24)",
  "rollback-restart": "the same while the plane is away (F24)",
  wipe: "a plane's store is emptied (F22, F24)",
  clone: "a plane's data directory, and its etcd's, is copied, and the copy started beside it (F25)",
  cold: "every process is killed at once, and all start together (F27)",
  skew: "a plane's wall clock is ten minutes ahead, or behind (F26)",
  replica: "a second process of a plane takes over from the first, which is frozen or dead, and dies when that is back (F11, F23)",
  "replica-cut": "the same from one that is cut from its store (F2, F23)",
  "store-cut": "a plane is cut from its etcd, which lives (F2)",
  member: "one of three members of an etcd, or of a place's nats-servers, is killed or stands still, and nothing may stop (F16, F17)",
  split: "one of three members of an etcd is cut from the others, reached by its plane as before, and nothing may stop (F2)",
  quorum: "two of the three members of a plane's etcd are killed, or stand still (F16)",
  reconnect: "the connections of many proxies to their plane are dropped, and all come back at once (F20)",
  "full-disk": "the disk of a plane's directory has no byte left, or its etcd has come to its quota (F12)",
  power: "the machine of a plane and its etcd loses its power: what was not synced is gone (F14)",
} as const;

export type FaultKind = keyof typeof faultKinds;

/** One fault: where, from when on, for how long. */
export interface PlannedFault {
  readonly kind: FaultKind;
  /** A process for kill, freeze, member and split, "everything" for cold, else a plane. */
  readonly place: string;
  /** After the run's beginning, or after the fault before it is in force, ms. */
  readonly afterMs: number;
  /** From when it is in force until it is healed; those that began earlier heal later, ms. */
  readonly lastsMs: number;
  /** Which of two ways a fault of two ways takes. */
  readonly isOther: boolean;
}

export interface FaultPlan {
  readonly seed: number;
  readonly faults: readonly PlannedFault[];
}

export interface PlanOptions {
  readonly ground: Ground;
  /** Only these. */
  readonly kinds?: readonly FaultKind[];
  /** Bounds of how long each lasts, ms. */
  readonly lastsMs: readonly [min: number, max: number];
}

/** After which somebody has to decide: one at a time, first in a run and healed last, since what it puts back has to be known to others before. */
const decided: readonly FaultKind[] = ["rollback", "rollback-restart", "wipe", "clone"];
/** Of one of three members, for which nothing may stop. */
const ofOneMember: readonly FaultKind[] = ["member", "split"];
const everyMember = (ground: Ground): readonly string[] => [...busProcesses(ground).flat(), ...storeProcesses(ground)];
// One of three members is a fault of its own: nothing may stop for it.
const everySoleProcess = (ground: Ground): readonly string[] => [...planes.map((plane) => processOf(plane)), ...(ground === "members" ? [] : everyMember(ground))];
const everyPlane = (): readonly string[] => planes;
const everyEtcdPlane = (ground: Ground): readonly string[] => (ground === "embedded" ? [] : planes);
const places: Readonly<Record<FaultKind, (ground: Ground) => readonly string[]>> = {
  kill: everySoleProcess,
  freeze: everySoleProcess,
  cut: everyPlane,
  "cut-one-way": everyPlane,
  // An embedded store belongs to its process: it cannot be exchanged under one that runs.
  rollback: everyEtcdPlane,
  "rollback-restart": everyPlane,
  wipe: everyPlane,
  clone: everyPlane,
  cold: () => ["everything"],
  skew: everyPlane,
  // One process has an embedded store to itself.
  replica: everyEtcdPlane,
  "replica-cut": everyEtcdPlane,
  "store-cut": everyEtcdPlane,
  member: (ground) => (ground === "members" ? everyMember(ground) : []),
  split: (ground) => (ground === "members" ? storeProcesses(ground) : []),
  quorum: (ground) => (ground === "members" ? planes : []),
  reconnect: () => planes.filter((plane) => plane !== "global"),
  "full-disk": everyPlane,
  power: everyPlane,
};
const faultsMax = 3;
const gapMsMax = 3_000;

/** One to three faults that can be in force together. Pure: the same seed and options give the same plan. */
export function planFaults(seed: number, options: PlanOptions): FaultPlan {
  const random = createSeededRandom(seed);
  const wanted = 1 + Math.floor(random.next() * faultsMax);
  const kinds = (options.kinds ?? (Object.keys(faultKinds) as FaultKind[])).filter((kind) => placesOf(kind, options.ground).length > 0);
  const chosen: { readonly kind: FaultKind; readonly place: string }[] = [];
  // A kind that does not go with what was chosen is passed over, so that a plan may have fewer faults than were wanted, and never none.
  for (let tries = 0; tries < 4 * wanted && chosen.length < wanted && kinds.length > 0; tries++) {
    const kind = pick(random, kinds);
    const candidate = { kind, place: pick(random, placesOf(kind, options.ground)) };
    if (chosen.every((other) => areCompatible(other, candidate, options.ground))) chosen.push(candidate);
  }
  const ordered = chosen.toSorted((left, right) => Number(decided.includes(right.kind)) - Number(decided.includes(left.kind)));
  const [min, max] = options.lastsMs;
  return {
    seed,
    faults: ordered.map((fault) => ({ ...fault, afterMs: Math.round(random.next() * gapMsMax), lastsMs: Math.round(min + random.next() * (max - min)), isOther: random.next() < 0.5 })),
  };
}

/** Where a fault of `kind` can be; nowhere where there is no such thing. */
export function placesOf(kind: FaultKind, ground: Ground): readonly string[] {
  return places[kind](ground);
}

/** One sentence, as a run's progress shows it. */
export function describeFault({ kind, place, lastsMs }: PlannedFault): string {
  return `${kind} ${place} for ${(lastsMs / 1_000).toFixed(0)} s`;
}

interface PlacedFault {
  readonly kind: FaultKind;
  readonly place: string;
}

function areCompatible(one: PlacedFault, other: PlacedFault, ground: Ground): boolean {
  const isDecided = [one, other].map(({ kind }) => decided.includes(kind));
  if (isDecided.every(Boolean)) return false;
  // Everything that is held open by us (frozen, cut, with a clock of its own) would not survive that all is killed, or would not be all.
  if (one.kind === "cold" || other.kind === "cold") return isDecided.some(Boolean);
  // Members of several engines may be away at once; beside anything else it could not be told what stops for what.
  const isOfMember = [one, other].map(({ kind }) => ofOneMember.includes(kind));
  if (isOfMember.some(Boolean)) return isOfMember.every(Boolean) && engineOf(one.place) !== engineOf(other.place);
  // Two crowds of proxies would take the host's processors from each other, and what is found then speaks of the host.
  if (one.kind === "reconnect" && other.kind === "reconnect") return false;
  const [left, right] = [touchedBy(one, ground), touchedBy(other, ground)];
  return left.every((name) => !right.includes(name));
}

/** Processes that a fault takes for itself. */
function touchedBy({ kind, place }: PlacedFault, ground: Ground): readonly string[] {
  if (!(planes as readonly string[]).includes(place) || kind === "kill" || kind === "freeze") return [place];
  return [processOf(place), ...(kind === "cut" || kind === "cut-one-way" ? [] : etcdsOf(place, ground))];
}

/** The engine that a member belongs to. */
function engineOf(member: string): string {
  return member.replace(/-\d$/, "");
}

function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[Math.floor(random.next() * from.length)];
  if (found === undefined) throw new Error("there is nothing to choose from");
  return found;
}
