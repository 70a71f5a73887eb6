import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import type { Heal, Scene } from "./fault.ts";
import { damageStore, decideForNewer, PlaneStore } from "./plane-store.ts";

/** Acknowledged after the copy, so that there is something to go back behind. */
const writesMin = 3;
const writtenMsMax = 120_000;

/** A store is put back to what it held some writes ago, under its running plane or while that is away. */
export async function injectRollback(scene: Scene, { kind, place }: PlannedFault): Promise<Heal> {
  const { world, writers } = scene;
  const store = new PlaneStore(world, place, { withPlane: kind === "rollback-restart" });
  await world.federation.kill(...store.processes);
  store.keep();
  await world.federation.start(...store.processes);
  const copiedMs = systemClock.monotonicMs();
  await eventually(`${place} takes ${writesMin} writes`, () => (writers.get(place)?.acknowledgedSince(copiedMs) ?? 0) >= writesMin, writtenMsMax);
  await damageStore(scene, store, () => store.putBack());
  return async () => await decideForNewer(scene, place);
}
