import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import type { Heal, Scene } from "./fault.ts";
import { damageStore, decideForNewer, PlaneStore } from "./plane-store.ts";

/** A plane loses its store, and keeps the rest of its directory. */
export async function injectWipe(scene: Scene, { place }: PlannedFault): Promise<Heal> {
  await eventually(`${place} holds something to lose`, () => (scene.writers.get(place)?.acknowledgedSince(0) ?? 0) > 0, 120_000);
  const store = new PlaneStore(scene.world, place, { withPlane: true });
  await damageStore(scene, store, () => store.empty());
  return async () => await decideForNewer(scene, place);
}
