import type { Mutant } from "./mutant.ts";

const receiver = "federation/replication/core/receiver.ts";
const records = "federation/replication/core/replica-records.ts";
const guard = "federation/replication/core/rollback-guard.ts";
const incarnations = "federation/replication/core/incarnations.ts";
const schedule = "federation/replication/core/fetch-schedule.ts";
const store = "federation/replication/shell/catalog-replica-store.ts";

/** Bugs of whoever is told. */
export const receivingMutants: readonly Mutant[] = [
  { name: "a frame of any stream is taken for one of the stream that is followed", file: receiver, find: "if (position.stream === this.#cursor.stream && !isOver) return true;", replace: "return true;" },
  { name: "an answer removes nothing", file: receiver, find: "const gone = this.#records.inBuckets(first.buckets).filter((id) => !offered.has(id));", replace: "const gone = this.#records.inBuckets(first.buckets).filter(() => false);" },
  { name: "an answer moves no position", file: receiver, find: "this.#cursor = { epoch: first.epoch, term: first.term, stream: first.stream, seq: first.seq, floor: upTo, ...witnessOf(this.#cursor) };", replace: "this.#cursor = { ...this.#cursor, stream: first.stream };" },
  { name: "an earlier epoch's higher revision counts as newer", file: "federation/model/replicated-object.ts", find: "return a.epoch === b.epoch ? a.revision - b.revision : a.epoch - b.epoch;", replace: "return a.revision - b.revision;" },
  { name: "terms are compared without their epoch", file: "federation/replication/core/replica-state.ts", find: "return a.epoch === b.epoch ? a.term - b.term : a.epoch - b.epoch;", replace: "return a.term - b.term;" },
  { name: "a tombstone removes nothing", file: records, find: 'return wasHeld ? { kind: "remove", id, ...record } : undefined;', replace: "return undefined;" },
  { name: "a gap is applied", file: receiver, find: "if (frame.seq > this.#cursor.seq + 1) {", replace: "if (frame.seq < 0) {" },
  {
    name: "a late frame is applied",
    file: receiver,
    find: "if (frame.seq <= this.#cursor.seq) {",
    replace: "if (frame.seq < 0) {",
    also: [{ file: receiver, find: "if (this.#guard.isFrameBehind(next, next.revision, this.#known)) {", replace: "if (next.seq < 0) {" }],
  },
  { name: "a gap is never asked about", file: schedule, find: "this.#gapSinceMs ??= nowMs;", replace: "" },
  { name: "a restart is taken for two of one name", file: incarnations, find: "export const returnsMin = 10;", replace: "export const returnsMin = 1;" },
  { name: "the same position again counts as behind", file: guard, find: "return compareGenerations(position, known) < 0 ||", replace: "return compareGenerations(position, known) <= 0 ||" },
  { name: "removals are not stored", file: store, find: "const ops: CatalogOp[] = [...last.values()].map(", replace: 'const ops: CatalogOp[] = [...last.values()].filter(({ kind }) => kind === "put").map(' },
  {
    name: "what came by another publisher is taken for this one's",
    file: store,
    find: "if (isFrom(value)) live.set",
    replace: "live.set",
    also: [{ file: store, find: "objects.pieces(signal, prefixOf(origin))", replace: "objects.pieces(signal)" }],
  },
  { name: "only the position is stored", file: store, find: "await commitInOrder(catalog, ops, signal);\n    this.#witness = witness;", replace: "await commitInOrder(catalog, ops.slice(-1), signal);\n    this.#witness = witness;" },
  { name: "the brake holds whatever goes", file: "federation/replication/core/withdrawal-brake.ts", find: "if (this.#isTooMany(counted.length, counts, nowMs)) return", replace: "return" },
];
