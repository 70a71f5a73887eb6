import type { Heal, Scene } from "./fault.ts";
import type { PlannedFault } from "../fault-plan.ts";

/** Everything is killed, and starts at once, in the order of its layers or the other way round. */
export async function injectCold({ world: { federation } }: Scene, { isOther }: PlannedFault): Promise<Heal> {
  const names = (await federation.list()).filter(({ state }) => state !== "stopped" && state !== "killed").map(({ name }) => name);
  await federation.kill(...names);
  return async () => await federation.start(...(isOther ? names.toReversed() : names));
}
