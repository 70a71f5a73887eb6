import { z } from "zod";
import { defineRoute } from "./route.ts";

const count = z.int().min(0);
const publisher = z.string().min(1).max(63).describe("A cluster, or global");

/** Ids that an answer names of one publisher. */
export const withdrawnNamedMax = 200;

/** About what a plane holds although its publisher has withdrawn it; both kinds of planes answer them. */
export const withdrawalRoutes = {
  withdrawals: defineRoute({
    operationId: "listHeldWithdrawals",
    method: "GET",
    path: "/api/v1/withdrawals",
    summary: "What publishers have withdrawn without a signed deletion, more at once than is believed, and what is held all the same",
    access: "read",
    answer: z.object({
      publishers: z.array(z.object({ publisher, held: count, objects: z.array(z.string()).describe(`Ids of the objects, in order, at most ${withdrawnNamedMax}.`) })),
    }),
  }),
  letGo: defineRoute({
    operationId: "letWithdrawalsGo",
    method: "POST",
    path: "/api/v1/withdrawals/let-go",
    summary: "Removes what is held of what a publisher has withdrawn",
    access: "administer",
    body: z.strictObject({
      publisher,
      epoch: z.exactOptional(count).describe("Somebody has decided about the publisher's store and begun this epoch: what its first answer does not hold goes, too."),
    }),
    answer: z.object({ removed: count }),
  }),
} as const;
