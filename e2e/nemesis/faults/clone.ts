import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PlannedFault } from "../fault-plan.ts";
import { processOf } from "../places.ts";
import { killChild } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";
import { reconcile } from "./plane-store.ts";

/** A plane's whole directory is copied, and the copy started beside it at other ports; its operator ends the copy and names the one that counts. */
export async function injectClone({ world }: Scene, { place }: PlannedFault): Promise<Heal> {
  const { federation } = world;
  const [name, copy] = [processOf(place), federation.directoryOf(`copy-${process.pid}-${copies++}`)];
  await federation.kill(name);
  cpSync(federation.directoryOf(name), copy, { recursive: true });
  await federation.start(name);
  const configFile = join(copy, "config.json");
  const config = world.configOf(place);
  // Any ports: whoever knows the plane's address reaches the plane.
  const listen = Object.fromEntries(Object.entries(config.listen).map(([field, value]) => [field, field.endsWith("Port") ? 0 : value]));
  writeFileSync(configFile, JSON.stringify({ ...config, listen, dataDir: copy }), { mode: 0o600 });
  const child = world.spawnPlane(place, configFile, { nodeArguments: [], env: {} });
  return async () => {
    await killChild(child);
    await reconcile(world, place, "--keep");
  };
}

/** Names of directories are used once. */
let copies = 0;
