import type { Heal, Scene } from "./fault.ts";
import type { PlannedFault } from "../fault-plan.ts";
import type { World } from "../world.ts";

/** SIGSTOP: connections stay open, and nobody answers. */
export async function injectFreeze({ world }: Scene, { place }: PlannedFault): Promise<Heal> {
  return await freeze(world, place);
}

/** Stops a process where it is; answers what lets it go on. */
export async function freeze(world: World, place: string): Promise<Heal> {
  const { pid } = await world.federation.view(place);
  if (pid === undefined) throw new Error(`${place} does not run`);
  process.kill(pid, "SIGSTOP");
  // It may have been killed meanwhile by the supervisor's hand; another that was started since is not ours.
  return async () => {
    if ((await world.federation.view(place)).pid === pid) process.kill(pid, "SIGCONT");
  };
}
