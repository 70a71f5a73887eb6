import { cpSync, writeFileSync } from "node:fs";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { aloneAt, changedWords, etcdWords, spawnEtcd } from "../etcd-beside.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { etcdsOf, processOf } from "../places.ts";
import type { PlaneConfig } from "../plane-links.ts";
import { killChild, type World } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";
import { reconcile } from "./plane-store.ts";

/** A plane's whole directory is copied, with its etcd's where it has one, and the copies started beside them at other ports; its operator ends the copy and names the one that counts. */
export async function injectClone({ world }: Scene, { place }: PlannedFault): Promise<Heal> {
  const { federation } = world;
  const [name, copy] = [processOf(place), federation.directoryOf(`copy-${process.pid}-${copies++}`)];
  const etcds = etcdsOf(place, world.ground);
  await federation.kill(name, ...etcds);
  cpSync(federation.directoryOf(name), copy, { recursive: true });
  const [etcd] = etcds;
  if (etcd !== undefined) cpSync(join(federation.directoryOf(etcd), "etcd"), join(copy, "etcd"), { recursive: true });
  await federation.start(...etcds, name);
  const configFile = join(copy, "config.json");
  const config = world.configOf(place);
  // Any ports: whoever knows the plane's address reaches the plane.
  const listen = Object.fromEntries(Object.entries(config.listen).map(([field, value]) => [field, field.endsWith("Port") ? 0 : value]));
  const store = etcd === undefined ? undefined : await startCopied(world, etcd, copy);
  writeFileSync(configFile, JSON.stringify({ ...config, listen, dataDir: copy, ...(store === undefined ? {} : { store: store.config }) }), { mode: 0o600 });
  const child = world.spawnPlane(place, configFile, { nodeArguments: [], env: {} });
  return async () => {
    await killChild(child);
    if (store !== undefined) await killChild(store.child);
    await reconcile(world, place, "--keep");
  };
}

/** An etcd of one member over the copied directory of `member`, whose peers it knows no more. */
async function startCopied(world: World, member: string, copy: string): Promise<{ readonly child: ChildProcess; readonly config: PlaneConfig["store"] }> {
  const { changes, endpoint } = await aloneAt(join(copy, "etcd"));
  const child = await spawnEtcd(world, changedWords(etcdWords(world, member), changes), join(copy, "etcd.log"));
  return { child, config: { kind: "etcd", endpoints: [endpoint] } };
}

/** Names of directories are used once. */
let copies = 0;
