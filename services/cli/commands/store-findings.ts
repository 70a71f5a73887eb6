import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { behindWords, type StoreStanding } from "#federation/model/store-standing.ts";

/** That a plane's store is behind, and what to do; nothing for a sound one, nor of a plane that does not say. */
export function storeProblems(plane: string, { store }: Pick<ClusterStatus | FederationStatus, "store">): readonly string[] {
  if (store?.state !== "behind") return [];
  const what = plane === "global" ? "the global plane writes and publishes" : `the plane of ${plane} writes and publishes`;
  return [`the store of ${plane} ${describeBehind(store)}; ${what} nothing until you decide: \`atoll reconcile ${plane}\``];
}

/** Seen by whom at which epoch and revision, and found at which. */
export function describeBehind({ reason, witness, witnessed, found }: Extract<StoreStanding, { readonly state: "behind" }>): string {
  return `${behindWords[reason]} (${witness} saw epoch ${witnessed.epoch}, revision ${witnessed.revision}; it is at epoch ${found.epoch}, revision ${found.revision})`;
}
