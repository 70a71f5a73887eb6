import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { storeRoutes } from "#federation/admin-api/store-routes.ts";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { processOf } from "../places.ts";
import { killChild } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";
import { skewVariable } from "./skewed-clock.ts";

const skewMs = 10 * 60_000;
const startedMsMax = 120_000;
const { signal } = new AbortController();

/** A plane starts again with a wall clock that is ten minutes ahead, or behind; then with the right one. Its process has it, and neither OpenSSL nor its engines. */
export async function injectSkew({ world }: Scene, { place, isOther }: PlannedFault): Promise<Heal> {
  const { federation } = world;
  const name = processOf(place);
  await federation.kill(name);
  const clock = fileURLToPath(new URL("./skewed-clock.ts", import.meta.url));
  const child = world.spawnPlane(place, join(federation.directoryOf(name), "config.json"), { nodeArguments: ["--import", clock], env: { [skewVariable]: String(isOther ? -skewMs : skewMs) } });
  await eventually(`${place} answers with a skewed clock`, async () => (await world.plane(place).call(storeRoutes.store, {}, signal), true), startedMsMax);
  return async () => {
    await killChild(child);
    await federation.start(name);
  };
}
