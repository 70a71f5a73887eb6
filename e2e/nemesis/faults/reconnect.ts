import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { Crowd } from "../proxies/crowd.ts";
import type { Heal, Scene } from "./fault.ts";

/** Proxies of one cluster. */
const crowdSize = 400;
const countedMsMax = 120_000;
const never = new AbortController().signal;

/** The connections of many proxies to their plane are dropped, and none is let in; then all come back at once, while everybody writes. */
export async function injectReconnect({ world, onStopped }: Scene, { place }: PlannedFault): Promise<Heal> {
  const joinToken = await eventually(`${place} gives a token`, async () => await world.federation.workloadToken(place, "web", "probe"), countedMsMax);
  const crowd = await Crowd.join(joinToken, crowdSize);
  crowd.cut();
  return async () => {
    crowd.open();
    try {
      await crowd.connected(crowdSize);
      await eventually(`${place} counts ${crowdSize} proxies`, async () => (await world.plane(place).call(clusterRoutes.status, {}, never)).body.proxies.filter(({ connected }) => connected).length === crowdSize, countedMsMax);
    } catch (error) {
      onStopped(`when all proxies of ${place} came back at once: ${describeError(error)}`);
    }
    await crowd.leave();
  };
}
