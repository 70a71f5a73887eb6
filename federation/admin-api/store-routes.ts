import { z } from "zod";
import { trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import { behindReasons, reconcileDecisions } from "#federation/model/store-standing.ts";
import { defineRoute } from "./route.ts";

const count = z.int().min(0);
const generation = z.object({ epoch: count, revision: count });

/** Whether a plane's store holds what is known of it. */
export const storeStandingSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("sound"), epoch: count }),
  z.object({
    state: z.literal("behind").describe("Nothing is written or published until it is reconciled."),
    reason: z.enum(behindReasons),
    witnessed: generation.describe("What it was seen at."),
    witness: z.string().describe("Who saw it: this plane, or another by its name."),
    found: generation.describe("What it was found at; epoch 0: it has none."),
    sinceMs: count.describe("Wall-clock ms at which that was noticed."),
  }),
]);

/** Objects of one page, and of one call that brings some: a call's body is bounded, and objects differ in size. */
export const heldObjectsMax = 200;

const objects = z.array(z.base64().max(512 * 1024)).max(heldObjectsMax).describe("Signed objects as frames carry them.");
const objectId = z.string().min(1).max(1_024);

const backupHead = z.object({
  federation: trustDomainSchema,
  plane: z.string().min(1).max(63).describe("global, or a cluster's name"),
  epoch: count,
  revision: count.describe("All entries are as of this one."),
  madeAtMs: count,
});

/** Parts of a backup: its entries in the order of their writes, then once its end. */
const backupEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("entries"), entries: z.array(z.object({ key: z.string().min(1), revision: count, value: z.base64() })) }),
  z.object({ type: z.literal("end"), head: backupHead, entries: count.describe("How many there were.") }),
]);

/** About a plane's own store; both kinds of planes answer them, also while the store is behind. */
export const storeRoutes = {
  store: defineRoute({
    operationId: "getStore",
    method: "GET",
    path: "/api/v1/store",
    summary: "Whether this plane's store holds what is known of it",
    access: "read",
    answer: storeStandingSchema,
  }),
  backup: defineRoute({
    operationId: "getStoreBackup",
    method: "GET",
    path: "/api/v1/store/backup",
    summary: "What a backup of this plane's store would hold, or with ?watch=true the backup itself: everything but tokens and what is of one process alone",
    access: "administer",
    query: z.strictObject({ watch: z.exactOptional(z.enum(["true", "false"]).transform((text) => text === "true")) }),
    answer: z.object({ head: backupHead, entries: count, bytes: count.describe("Of keys and values.") }),
    event: backupEvent,
    parseEvent: (input) => backupEvent.parse(input),
  }),
  heldObjects: defineRoute({
    operationId: "listHeldObjects",
    method: "GET",
    path: "/api/v1/objects",
    summary: "The signed objects of one origin that this plane holds, in order of their ids",
    access: "administer",
    query: z.strictObject({ origin: z.string().min(1).max(63).describe("A cluster, or global"), after: z.exactOptional(objectId) }),
    answer: z.object({ objects, next: z.exactOptional(objectId).describe("The `after` of the next page; absent at the end.") }),
  }),
  takeObjects: defineRoute({
    operationId: "takeObjects",
    method: "POST",
    path: "/api/v1/store/objects",
    summary: "Brings a plane whose store is behind what others hold of it; it takes what it signed itself and is newer, as far as the decision asks for it. By take-newer a cluster whose store is sound takes the exports that it lacks and has not deleted itself",
    access: "administer",
    body: z.strictObject({ decision: z.enum(reconcileDecisions), objects }),
    answer: z.object({ taken: z.array(z.string()).describe("Ids of the objects that were newer.") }),
  }),
  reconcile: defineRoute({
    operationId: "reconcileStore",
    method: "POST",
    path: "/api/v1/store/reconcile",
    summary: "A new epoch begins with what the store holds now, which ends the time in which it is behind, or in which others take it to be",
    access: "administer",
    body: z.strictObject({
      decision: z.enum(reconcileDecisions),
      held: z.exactOptional(z.array(objectId).max(10_000)).describe("Ids of this plane's objects that others hold. Of what is not among them, what gives rights is dropped, and with take-newer everything that others should hold. Absent: nobody was asked, and nothing is dropped."),
      epochAbove: count.describe("The highest epoch that others know of this plane."),
    }),
    answer: z.object({ epoch: count, dropped: z.array(z.string()) }),
  }),
} as const;

export type BackupEvent = z.infer<typeof backupEvent>;
export type StoreStandingView = z.infer<typeof storeStandingSchema>;
