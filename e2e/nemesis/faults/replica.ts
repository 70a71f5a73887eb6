import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { processOf } from "../places.ts";
import { killChild } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";

/** What belongs to one process of a plane and to no other of the same store. */
const ofOneProcess = ["instance", "trail", "witness.json", "audit", "ready.json"];
const takenOverMsMax = 120_000;

/** A second process over the same etcd takes over from the first, which stands still with its place; the first wakes up and finds it taken, and the second dies with it. */
export async function injectReplica({ world }: Scene, { place }: PlannedFault): Promise<Heal> {
  const { federation } = world;
  const name = processOf(place);
  const directory = federation.directoryOf(`replica-${process.pid}-${replicas++}`);
  cpSync(federation.directoryOf(name), directory, { recursive: true });
  for (const file of ofOneProcess) rmSync(join(directory, file), { recursive: true, force: true });
  const config = world.configOf(place);
  const listen = Object.fromEntries(Object.entries(config.listen).map(([field, value]) => [field, field.endsWith("Port") ? 0 : value]));
  const configFile = join(directory, "config.json");
  writeFileSync(configFile, JSON.stringify({ ...config, listen, dataDir: directory }), { mode: 0o600 });
  const { pid } = await federation.view(name);
  if (pid === undefined) throw new Error(`${name} does not run`);
  const replica = world.spawnPlane(place, configFile, { nodeArguments: [], env: {} });
  process.kill(pid, "SIGSTOP");
  try {
    await eventually(`the replica of ${place} leads`, () => existsSync(join(directory, "ready.json")), takenOverMsMax);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  return async () => await killChild(replica);
}

/** Names of directories are used once. */
let replicas = 0;
