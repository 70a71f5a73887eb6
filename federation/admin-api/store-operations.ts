import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { epochOf, type ReconcileDecision, type StoreStanding } from "#federation/model/store-standing.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { decodeSignedObject, verifyObject, type VerifyChain } from "#federation/wire/signed-object.ts";
import { backupOperation, type BackupSource } from "./backup-operation.ts";
import { implement, type Operation } from "./route.ts";
import { heldObjectsMax, storeRoutes } from "./store-routes.ts";

/** What a plane does with its own objects that others hold, while its store is behind. */
export interface StoreReconciler {
  /** Writes what `object` says where that is newer than what the store holds and `decision` asks for it; true when it did. */
  take(object: OpenedObject, decision: ReconcileDecision, signal: AbortSignal): Promise<boolean>;
  /**
   * Brings back what `object` says into a store that is sound and lacks it, as one does that was made anew; true when it did. What the store
   * holds, or knows to be deleted, stays as it is. Absent: nothing of this plane is brought back so.
   */
  refill?(object: OpenedObject, signal: AbortSignal): Promise<boolean>;
  /** Removes what is not in `held`, since others have let it go or never had it, as far as `decision` asks for that. Answers what it removed, as `Kind id`. */
  drop(held: ReadonlySet<string>, decision: ReconcileDecision, signal: AbortSignal): Promise<readonly string[]>;
}

export interface StoreOperationsOptions {
  /** This plane's name as an origin. */
  readonly origin: string;
  readonly standing: Watched<StoreStanding>;
  /** What this plane holds of everybody. */
  readonly objects: { list(signal: AbortSignal): Promise<{ readonly items: readonly { readonly id: string; readonly value: { readonly origin: string; readonly signed: Uint8Array } }[] }> };
  readonly verifyChain: VerifyChain;
  readonly reconciler: StoreReconciler;
  readonly beginEpoch: (above: number, signal: AbortSignal) => Promise<number>;
  readonly backup: BackupSource;
}

/** What every plane answers about its own store, and an operator's decision about one that is behind. */
export function storeOperations(options: StoreOperationsOptions): readonly Operation[] {
  const { origin, standing, objects, reconciler, beginEpoch } = options;
  return [
    implement(storeRoutes.store, async () => ({ body: standing.current })),
    backupOperation(options.backup, standing),
    implement(storeRoutes.heldObjects, async ({ query }, signal) => {
      const { items } = await objects.list(signal);
      const held = items.filter(({ id, value }) => value.origin === query.origin && (query.after === undefined || id > query.after)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const page = held.slice(0, heldObjectsMax);
      const last = page.at(-1);
      return { body: { objects: page.map(({ value }) => Buffer.from(value.signed).toString("base64")), ...(held.length > page.length && last !== undefined ? { next: last.id } : {}) } };
    }),
    implement(storeRoutes.takeObjects, async ({ body }, signal) => {
      const isRefill = standing.current.state === "sound" && body.decision === "take-newer" && reconciler.refill !== undefined;
      if (!isRefill) demandBehind(standing.current);
      // All of them are judged before any is written.
      const brought = body.objects.map((text) => ownObject(text, options));
      const taken: string[] = [];
      for (const object of isRefill ? [] : brought) if (await reconciler.take(object, body.decision, signal)) taken.push(objectId(object.payload));
      for (const object of isRefill ? brought : []) if ((await reconciler.refill?.(object, signal)) === true) taken.push(objectId(object.payload));
      return { body: { taken }, change: { outcome: taken.length > 0 ? "changed" : "unchanged", kind: "Store", id: origin } };
    }),
    implement(storeRoutes.reconcile, async ({ body }, signal) => {
      const before = standing.current;
      // A sound store may begin anew, too, where others do not believe it; it has forgotten nothing that would have to be taken or dropped.
      if (body.decision !== "keep") demandBehind(before);
      const dropped = before.state === "sound" || body.held === undefined ? [] : [...(await reconciler.drop(new Set(body.held), body.decision, signal))];
      const epoch = await beginEpoch(body.epochAbove, signal);
      return { body: { epoch, dropped }, change: { outcome: "done", kind: "Store", id: origin, revisionBefore: epochOf(before), revisionAfter: epoch, fields: [body.decision] } };
    }),
  ];
}

function demandBehind(standing: StoreStanding): void {
  if (standing.state === "sound") throw new AtollError("ATOLL_REQUEST_INVALID", `this plane's store is sound, in epoch ${standing.epoch}: there is nothing to decide`);
}

/** @throws {ATOLL_REQUEST_INVALID} for an object of somebody else, and what `verifyObject` throws. */
function ownObject(text: string, { origin, verifyChain }: StoreOperationsOptions): OpenedObject {
  const object = verifyObject(decodeSignedObject(Buffer.from(text, "base64")), verifyChain);
  if (object.payload.origin === origin) return object;
  throw new AtollError("ATOLL_REQUEST_INVALID", `objects: ${objectId(object.payload)} is not of ${origin}`);
}
