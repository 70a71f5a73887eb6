import type { World } from "../world.ts";
import type { Heal } from "./fault.ts";
import { freeze } from "./freeze.ts";

/** Kills a process, or has it stand still; answers what brings it back. */
export async function haltProcess(world: World, name: string, isFrozen: boolean): Promise<Heal> {
  if (isFrozen) return await freeze(world, name);
  await world.federation.kill(name);
  return async () => await world.federation.start(name);
}
