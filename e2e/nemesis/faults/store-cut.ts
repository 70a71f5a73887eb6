import type { PlannedFault } from "../fault-plan.ts";
import type { World } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";

/** A plane without its etcd, which lives: connections are reset, or nothing passes any more without an end of them. */
export function injectStoreCut({ world }: Scene, { place, isOther }: PlannedFault): Promise<Heal> {
  return Promise.resolve(cutFromStore(world, place, isOther));
}

/** Cuts a plane from its store, with resets or in silence; answers what ends that. */
export function cutFromStore(world: World, place: string, isSilent: boolean): Heal {
  world.link(place, "store", isSilent ? "held" : "cut");
  return () => {
    world.link(place, "store", "open");
    return Promise.resolve();
  };
}
