import type { Heal, Scene } from "./fault.ts";
import type { PlannedFault } from "../fault-plan.ts";

/** SIGKILL; its operator starts it again. */
export async function injectKill({ world }: Scene, { place }: PlannedFault): Promise<Heal> {
  await world.federation.kill(place);
  return async () => await world.federation.start(place);
}
