import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { etcdsOf, processOf } from "../places.ts";
import type { World } from "../world.ts";
import { expectAudited } from "./audited.ts";
import type { Heal, Scene } from "./fault.ts";
import { freeze } from "./freeze.ts";
import { LossyDisk } from "./lossy-disk.ts";

/** Acknowledged on the disk that loses its power, so that there is something to lose. */
const writesMin = 4;
/** For what other faults put beside it, too, such as a copy of an etcd. */
const spareBytes = 256 * 1024 * 1024;
const writtenMsMax = 120_000;
const stoppedMsMax = 10_000;

/** The power of a plane's machine, and of its etcd's, goes while it is written to, and comes back: of their files is left what had been synced. Nobody decides anything. */
export async function injectPower(scene: Scene, { place }: PlannedFault): Promise<Heal> {
  const { world, writers } = scene;
  const { federation } = world;
  const names = [...etcdsOf(place, world.ground), processOf(place)];
  await federation.kill(...names);
  const disks = names.map((name) => {
    const disk = LossyDisk.replace(federation.directoryOf(name), join(federation.place.directory, `disk-${disksMade++}`), spareBytes);
    world.defer(() => disk.remove());
    return disk;
  });
  await federation.start(...names);
  const startedMs = systemClock.monotonicMs();
  const writer = writers.get(place);
  await eventually(`${place} takes ${writesMin} writes`, () => (writer?.acknowledgedSince(startedMs) ?? 0) >= writesMin, writtenMsMax);
  for (const name of names) await standStill(world, name);
  const turnOff = disks.map((disk) => disk.losePower());
  await federation.kill(...names);
  for (const off of turnOff) off();
  expectAudited(scene, place);
  return async () => await federation.start(...names);
}

/** Every thread of a process: after that it tells nobody that something is done. */
async function standStill(world: World, name: string): Promise<void> {
  const { pid } = await world.federation.view(name);
  await freeze(world, name);
  await eventually(`${name} stands still`, () => readdirSync(`/proc/${pid}/task`).every((thread) => isStopped(`/proc/${pid}/task/${thread}/stat`)), stoppedMsMax);
}

/** The state of a thread follows its name, which is in parentheses. */
function isStopped(statPath: string): boolean {
  return /\) T /.test(readFileSync(statPath, "latin1"));
}

/** Names of disks are used once. */
let disksMade = 0;
