import type { Random } from "#federation/runtime/random.ts";
import type { ReconcileDecision } from "#federation/model/store-standing.ts";
import { clusters, planeNames } from "./cast.ts";
import { policyKeys, serviceKeys } from "./registers.ts";
import type { Trouble } from "./troubled-store.ts";

/** One step of a run. */
export type Operation =
  | { readonly kind: "putPolicy" | "deletePolicy"; readonly key: number }
  | { readonly kind: "export" | "unexport"; readonly cluster: string; readonly key: number }
  | { readonly kind: "relate" | "revoke" }
  | { readonly kind: "restart" | "cut" | "join"; readonly plane: string }
  | { readonly kind: "skew"; readonly plane: string; readonly ms: number }
  | { readonly kind: "lossy" | "faultless" }
  /** The store is put back to what it held before the last `back` writes anywhere, and an operator decides: under the plane, around a restart of it, or around one that finds its own witness lost, too. */
  | { readonly kind: "rollBack"; readonly plane: string; readonly decision: ReconcileDecision; readonly around: "nothing" | "restart" | "lostWitness" }
  | { readonly kind: "wipe"; readonly plane: string }
  | { readonly kind: "trouble"; readonly plane: string; readonly trouble: Trouble }
  | { readonly kind: "untroubled"; readonly plane: string }
  /** Somebody starts a copy of the plane beside it, and ends it after a while. */
  | { readonly kind: "clone"; readonly plane: string }
  | { readonly kind: "wait"; readonly ms: number };

const operationsMin = 12;
const operationsMax = 30;

/** The steps of a seed. Deterministic. */
export function operationsOf(random: Random): readonly Operation[] {
  const count = operationsMin + Math.floor(random.next() * (operationsMax - operationsMin + 1));
  return Array.from({ length: count }, () => operationOf(random));
}

function operationOf(random: Random): Operation {
  const one = <T>(of: readonly T[]): T => {
    const picked = of[Math.floor(random.next() * of.length)];
    if (picked === undefined) throw new Error("nothing to choose from");
    return picked;
  };
  const roll = random.next();
  const key = (of: number): number => Math.floor(random.next() * of);
  if (roll < 0.2) return { kind: "putPolicy", key: key(policyKeys) };
  if (roll < 0.28) return { kind: "deletePolicy", key: key(policyKeys) };
  if (roll < 0.43) return { kind: "export", cluster: one(clusters).name, key: key(serviceKeys) };
  if (roll < 0.5) return { kind: "unexport", cluster: one(clusters).name, key: key(serviceKeys) };
  if (roll < 0.56) return { kind: "relate" };
  if (roll < 0.6) return { kind: "revoke" };
  if (roll < 0.68) return { kind: "restart", plane: one(planeNames) };
  if (roll < 0.73) return { kind: "cut", plane: one(planeNames) };
  if (roll < 0.78) return { kind: "join", plane: one(planeNames) };
  if (roll < 0.81) return { kind: "lossy" };
  if (roll < 0.84) return { kind: "faultless" };
  if (roll < 0.86) return { kind: "skew", plane: one(planeNames), ms: one([-600_000, 600_000, 0]) };
  if (roll < 0.9) return { kind: "rollBack", plane: one(planeNames), decision: one(["keep", "take-newer"]), around: aroundOf(random.next()) };
  if (roll < 0.91) return { kind: "wipe", plane: one(clusters).name };
  if (roll < 0.935) return { kind: "trouble", plane: one(planeNames), trouble: one(["away", "full", "unanswered"]) };
  if (roll < 0.95) return { kind: "untroubled", plane: one(planeNames) };
  if (roll < 0.96) return { kind: "clone", plane: one(planeNames) };
  return { kind: "wait", ms: one([50, 1_000, 5_000]) };
}

function aroundOf(roll: number): "nothing" | "restart" | "lostWitness" {
  if (roll >= 0.5) return "nothing";
  return roll < 0.15 ? "lostWitness" : "restart";
}
