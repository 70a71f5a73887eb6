import { systemClock } from "#federation/runtime/clock.ts";
import type { PlannedFault } from "../fault-plan.ts";
import type { Heal, Scene } from "./fault.ts";
import { expectNamed, expectUnbroken } from "./going-on.ts";
import { haltProcess } from "./halt.ts";

/** One of three members is away, dead or standing still: every plane goes on to take writes, and everybody to hear of them. */
export async function injectMember(scene: Scene, { place, isOther }: PlannedFault): Promise<Heal> {
  const back = await haltProcess(scene.world, place, isOther);
  const sinceMs = systemClock.monotonicMs();
  return async () => {
    const what = `${place} ${isOther ? "stands still" : "is dead"}`;
    await expectUnbroken(scene, sinceMs, what);
    await expectNamed(scene, place, what);
    await back();
  };
}
