import { compareGenerations, objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { decodeSignedObject, openObject } from "#federation/wire/signed-object.ts";
import type { AdminClient } from "./client.ts";
import { heldObjectsMax, storeRoutes } from "./store-routes.ts";

/** An object as a plane holds it, and as it travels. */
export interface HeldObject {
  readonly object: OpenedObject;
  readonly base64: string;
}

/** Bytes of base64 in one call: its body may take 1 MiB. */
const callBytesMax = 700_000;

/** Every object of `origin` that a plane holds. Whether they are genuine is for their origin to say. */
export async function readHeldObjects(holder: AdminClient, origin: string, signal: AbortSignal): Promise<readonly HeldObject[]> {
  const held: HeldObject[] = [];
  for (let after: string | undefined; ; ) {
    const { body } = await holder.call(storeRoutes.heldObjects, { query: { origin, ...(after === undefined ? {} : { after }) } }, signal);
    for (const base64 of body.objects) held.push({ base64, object: openObject(decodeSignedObject(Buffer.from(base64, "base64"))) });
    if (body.next === undefined) return held;
    after = body.next;
  }
}

/** By object id, the latest form that any of the holders has. */
export function latestOf(held: readonly (readonly HeldObject[])[]): ReadonlyMap<string, HeldObject> {
  const latest = new Map<string, HeldObject>();
  for (const one of held.flat()) {
    const id = objectId(one.object.payload);
    const other = latest.get(id);
    if (other === undefined || compareGenerations(one.object.payload.generation, other.object.payload.generation) > 0) latest.set(id, one);
  }
  return latest;
}

/** In parts that one call takes. */
export function inCalls(objects: Iterable<HeldObject>): readonly (readonly string[])[] {
  const calls: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const { base64 } of objects) {
    if (bytes + base64.length > callBytesMax || (calls.at(-1)?.length ?? 0) >= heldObjectsMax) {
      calls.push([]);
      bytes = 0;
    }
    calls.at(-1)?.push(base64);
    bytes += base64.length;
  }
  return calls;
}
