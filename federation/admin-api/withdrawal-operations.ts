import { AtollError } from "#federation/runtime/errors.ts";
import { implement, type Operation } from "./route.ts";
import { withdrawalRoutes, withdrawnNamedMax } from "./withdrawal-routes.ts";

/** What is held back of one publisher, and an operator's word about it. */
export interface HeldBack {
  readonly ids: () => readonly string[];
  /** Answers how many objects went. */
  readonly letGo: (epoch: number | undefined) => Promise<number>;
}

/** What a plane answers about withdrawals that it holds back, by publisher. */
export function withdrawalOperations(held: ReadonlyMap<string, HeldBack>): readonly Operation[] {
  return [
    implement(withdrawalRoutes.withdrawals, async () => ({
      body: {
        publishers: [...held].flatMap(([publisher, { ids }]) => {
          const objects = ids().toSorted();
          return objects.length === 0 ? [] : [{ publisher, held: objects.length, objects: objects.slice(0, withdrawnNamedMax) }];
        }),
      },
    })),
    implement(withdrawalRoutes.letGo, async ({ body }) => {
      const { publisher, epoch } = body;
      const one = held.get(publisher);
      if (one === undefined) throw new AtollError("ATOLL_NOT_FOUND", `this plane receives nothing of ${publisher}; it receives of ${[...held.keys()].join(", ") || "nobody"}`);
      const removed = await one.letGo(epoch);
      return { body: { removed }, change: { outcome: removed > 0 ? "changed" : "unchanged", kind: "Withdrawals", id: publisher } };
    }),
  ];
}
