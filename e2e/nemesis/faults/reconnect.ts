import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { Crowd } from "../proxies/crowd.ts";
import type { World } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";

/** Far more than a plane takes on a busy host. */
const countedMsMax = 120_000;
const never = new AbortController().signal;

/** The connections of many proxies to their plane are dropped, and none is let in; then all come back at once, while everybody writes. */
export async function injectReconnect(scene: Scene, { place }: PlannedFault): Promise<Heal> {
  const { world, proxies, signal } = scene;
  const joinToken = await eventually(`${place} gives a token`, async () => await world.federation.workloadToken(place, "web", "probe"), countedMsMax);
  const crowd = await Crowd.join(joinToken, proxies, signal);
  crowd.cut();
  return async () => {
    crowd.open();
    await expectBack(scene, place, crowd);
    await crowd.leave();
  };
}

/** All are connected, and the plane knows it. @throws what the proxies' process ended by: nothing is known of the plane then */
async function expectBack({ world, proxies, signal, onStopped }: Scene, place: string, crowd: Crowd): Promise<void> {
  try {
    await crowd.connected(proxies, signal);
    await eventually(`${place} counts ${proxies} proxies`, async () => signal.aborted || (await countOf(world, place, crowd)) === proxies, countedMsMax);
  } catch (error) {
    // Whoever is told to stop waits for nothing more.
    if (signal.aborted) return;
    crowd.throwIfEnded();
    onStopped(`when all proxies of ${place} came back at once: ${describeError(error)}`);
  }
}

/** How many of the crowd are connected, as the plane says it: its cluster's gateway is a proxy, too, and none of these. */
async function countOf(world: World, place: string, crowd: Crowd): Promise<number> {
  const { body } = await world.plane(place).call(clusterRoutes.status, {}, never);
  return body.proxies.filter(({ connected, name }) => connected && name.startsWith(crowd.name)).length;
}
