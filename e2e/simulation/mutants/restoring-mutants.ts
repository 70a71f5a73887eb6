import type { Mutant } from "./mutant.ts";

const life = "federation/history/store-life.ts";
const witness = "federation/history/store-witness.ts";
const historyGuard = "federation/history/history-guard.ts";
const globalReconciler = "services/global/store/global-reconciler.ts";
const clusterReconciler = "services/cluster/store/cluster-reconciler.ts";
const operations = "federation/admin-api/store-operations.ts";

/** Bugs that show when a store has gone back. */
export const restoringMutants: readonly Mutant[] = [
  { name: "a rollback is taken for a newer epoch", file: life, find: "else life.#judge(facts, life.#remembered());", replace: "else if (judgeStore(facts, life.#remembered()) !== undefined) await life.beginEpoch(0, signal);" },
  { name: "a life is not asked what it found", file: "federation/replication/core/rollback-guard.ts", find: "written !== undefined && opened < written;", replace: "written !== undefined && opened < 0;" },
  { name: "a decision begins no new epoch", file: life, find: "this.#witness.behind?.witnessed.epoch ?? 0, above) + 1;", replace: "this.#witness.behind?.witnessed.epoch ?? 0, above);" },
  { name: "a decision begins the epoch after the store's own", file: life, find: "Math.max(stored?.value.epoch ?? 0, this.#remembered().witness.epoch, this.#witness.behind?.witnessed.epoch ?? 0, above) + 1", replace: "(stored?.value.epoch ?? 0) + 1" },
  { name: "each mark that was written is forgotten", file: life, find: "revision: Math.max(this.#markedAt, this.#witness.revision), marks: [mark] });", replace: 'revision: Math.max(this.#markedAt, this.#witness.revision), marks: ["other"] });' },
  { name: "a revocation is lost on restore", file: globalReconciler, find: '(decision === "keep" ? rightsKinds : globalKinds)', replace: '(decision === "keep" ? [] : globalKinds)' },
  { name: "what was deleted comes back to the global plane", file: globalReconciler, find: "if (held.has(objectId({ origin: globalOrigin, kind, key: id }))) continue;", replace: "if (kind !== undefined) continue;" },
  { name: "the older of two forms is taken", file: globalReconciler, find: "`${kind}/${stored.id}`, signal) }) <= 0) return false;", replace: "`${kind}/${stored.id}`, signal) }) >= 0) return false;" },
  { name: "an export that was taken back comes back with the store", file: clusterReconciler, find: 'if (decision === "keep") return [];', replace: "return [];" },
  { name: "an export is read back as an object alone", file: clusterReconciler, find: "if (isExport) await restoreExport(catalog, payload, signal);", replace: "" },
  { name: "nothing is taken back from the others", file: operations, find: "if (await reconciler.take(object, body.decision, signal)) taken", replace: "if (!body.decision) taken" },
  { name: "a relay goes on from a store that went back", file: "services/global/global-plane.ts", find: "waitsForOrigins: termStore.life.hasDecided,", replace: "waitsForOrigins: false," },
  {
    name: "a rollback is seen by nobody",
    file: witness,
    find: "if (facts.epoch > epoch) return undefined;",
    replace: "if (facts.epoch >= epoch) return undefined;",
    also: [
      { file: historyGuard, find: 'writtenAt === 0 ? conditions : [...conditions, { kind: "revisionFrom", key, revision: writtenAt }, ...begins]', replace: "conditions" },
      { file: historyGuard, find: "    if (revision < seen) {", replace: "    if (revision < 0) {" },
      { file: "federation/replication/core/rollback-guard.ts", find: "    this.#note(heartbeat);\n", replace: "" },
    ],
  },
];
