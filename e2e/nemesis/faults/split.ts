import { systemClock } from "#federation/runtime/clock.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { linkedMembers } from "../linked-members.ts";
import { etcdsOf, planes } from "../places.ts";
import type { Heal, Scene } from "./fault.ts";
import { expectNamed, expectUnbroken } from "./going-on.ts";

/** One of three members is cut from the two others, and answers its plane as before: every plane goes on to take writes, and everybody to hear of them. */
export async function injectSplit(scene: Scene, { place }: PlannedFault): Promise<Heal> {
  const { world } = scene;
  const plane = planes.find((name) => etcdsOf(name, world.ground).includes(place));
  if (plane === undefined) throw new Error(`${place} is no member of an etcd`);
  const { links, pids } = await linkedMembers(world, plane);
  links.split(place, pids);
  const sinceMs = systemClock.monotonicMs();
  return async () => {
    try {
      await expectUnbroken(scene, sinceMs, `${place} is cut from the other members`);
      await expectNamed(scene, "is cut from the other members", place);
    } finally {
      links.heal();
    }
  };
}
