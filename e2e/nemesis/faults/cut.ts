import type { Heal, Scene } from "./fault.ts";
import type { PlannedFault } from "../fault-plan.ts";

/** A plane without the bus: connections are reset, or nothing passes any more without an end of them; or nothing passes in one direction. */
export function injectCut({ world }: Scene, { kind, place, isOther }: PlannedFault): Promise<Heal> {
  world.link(place, "bus", kind === "cut" ? (isOther ? "held" : "cut") : isOther ? "held-in" : "held-out");
  return Promise.resolve(() => {
    world.link(place, "bus", "open");
    return Promise.resolve();
  });
}
