import { statSync } from "node:fs";
import { join } from "node:path";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { openAsAdministrator } from "#services/cli/engines/etcd-administrator.ts";
import { engineFiles } from "#services/cli/up/engine-plan.ts";
import { eventually } from "../../harness/eventually.ts";
import { changedWords, etcdWords, spawnEtcd } from "../etcd-beside.ts";
import { etcdsOf } from "../places.ts";
import { killChild, type World } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";
import { expectNamed } from "./going-on.ts";

const operatorMsMax = 120_000;
const callTimeoutMs = 5_000;

/** A plane's etcd has come to its quota, and takes nothing but deletions; its operator gives it more, and disarms the alarm. */
export async function fillEtcd(scene: Scene, plane: string): Promise<Heal> {
  const { world } = scene;
  const { federation } = world;
  const members = etcdsOf(plane, world.ground);
  await federation.kill(...members);
  const beside = await Promise.all(
    members.map(async (member) => {
      const home = federation.directoryOf(member);
      const heldBytes = statSync(join(home, "etcd", "member", "snap", "db")).size;
      return await spawnEtcd(world, changedWords(etcdWords(world, member), { "--quota-backend-bytes": String(heldBytes) }), join(home, "full.log"));
    }),
  );
  return async () => {
    await expectNamed(scene, `etcd of ${plane} at`, `the etcd of ${plane} is full`);
    for (const child of beside) await killChild(child);
    await federation.start(...members);
    await eventually(`the alarm of ${plane}'s etcd is disarmed`, async () => await disarm(world, plane), operatorMsMax);
  };
}

/** As `etcdctl alarm disarm` does; true when no alarm is left. */
async function disarm(world: World, plane: string): Promise<boolean> {
  const { store } = world.directConfigOf(plane);
  if (store.kind !== "etcd") throw new Error(`${plane} has no etcd`);
  const client = await openAsAdministrator({ endpoints: store.endpoints, tls: engineFiles(world.federation.place.dataDir, etcdAdministrator), clock: systemClock, callTimeoutMs });
  try {
    const { alarms } = await client.maintenance.alarm({ action: "Get" });
    for (const { memberID, alarm } of alarms) await client.maintenance.alarm({ action: "Deactivate", memberID, alarm });
    return alarms.length === 0;
  } finally {
    client.close();
  }
}
