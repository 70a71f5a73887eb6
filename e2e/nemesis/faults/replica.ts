import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { logTail } from "#services/cli/up/managed-process.ts";
import { eventually, pause } from "../../harness/eventually.ts";
import type { PlannedFault } from "../fault-plan.ts";
import { processOf } from "../places.ts";
import { killChild, type World } from "../world.ts";
import type { Heal, Scene } from "./fault.ts";
import { haltProcess } from "./halt.ts";
import { cutFromStore } from "./store-cut.ts";
import { StrayCalls } from "./stray-calls.ts";

/** What belongs to one process of a plane and to no other of the same store. */
const ofOneProcess = ["instance", "trail", "witness.json", "audit", "ready.json"];
/** Far more than a start, and the end of a lease, take on a busy host. */
const takenOverMsMax = 300_000;
/** Acknowledged by the second process before the first one is back, so that there is something to be behind of. */
const writesMin = 2;
/** Calls are under way to the first process when it is let go on, ms. */
const strayMs = 300;

/**
 * A second process over the same etcd takes over from the first, which stands still, is dead, or is cut from its store, and takes the
 * writes. The first comes back, and finds its place taken while it is called as if it led; the second dies, and the first leads again.
 */
export async function injectReplica(scene: Scene, { kind, place, isOther }: PlannedFault): Promise<Heal> {
  const { world, writers } = scene;
  const replica = startReplica(world, place);
  const isKilled = kind === "replica" && isOther;
  const back = kind === "replica-cut" ? cutFromStore(world, place, isOther) : await haltProcess(world, processOf(place), !isKilled);
  try {
    await eventually(`the replica of ${place} leads`, () => {
      if (!existsSync(replica.readyFile)) throw new Error(`it has said last: ${logTail(replica.logFile, 1).join("")}`);
      return true;
    }, takenOverMsMax);
    // On a busy host it may lose the lead and win it again, and answers elsewhere then.
    world.answerAt(place, () => addressIn(replica.readyFile));
    const ledMs = systemClock.monotonicMs();
    await eventually(`the replica of ${place} takes writes`, () => (writers.get(place)?.acknowledgedSince(ledMs) ?? 0) >= writesMin, takenOverMsMax);
  } catch (error) {
    await back();
    throw error;
  }
  // One that was killed is not started before its place is free: nobody could see that it is ready.
  if (isKilled) return async () => await endReplica(world, place, replica, back);
  const strays = new StrayCalls(scene, place);
  await pause(strayMs);
  await back();
  return async () => {
    await strays.end();
    await endReplica(world, place, replica);
  };
}

interface Replica {
  readonly child: ChildProcess;
  /** Where it answers callers of its plane; there once it leads. */
  readonly readyFile: string;
  readonly logFile: string;
}

function startReplica(world: World, place: string): Replica {
  const { federation } = world;
  const directory = federation.directoryOf(`replica-${process.pid}-${replicas++}`);
  cpSync(federation.directoryOf(processOf(place)), directory, { recursive: true });
  for (const file of ofOneProcess) rmSync(join(directory, file), { recursive: true, force: true });
  const config = world.directConfigOf(place);
  const listen = Object.fromEntries(Object.entries(config.listen).map(([field, value]) => [field, field.endsWith("Port") ? 0 : value]));
  const configFile = join(directory, "config.json");
  writeFileSync(configFile, JSON.stringify({ ...config, listen, dataDir: directory }), { mode: 0o600 });
  const child = world.spawnPlane(place, configFile, { nodeArguments: [], env: {} });
  return { child, readyFile: join(directory, "ready.json"), logFile: `${configFile}.log` };
}

function addressIn(readyFile: string): string {
  const { ports } = JSON.parse(readFileSync(readyFile, "utf8")) as { readonly ports: Readonly<Record<string, number>> };
  return `127.0.0.1:${ports["api"] ?? ports["admin"]}`;
}

/** Whoever calls the plane calls the first process from then on, which leads as soon as it finds its place free. */
async function endReplica(world: World, place: string, { child }: Replica, start?: Heal): Promise<void> {
  await killChild(child);
  world.answerAt(place, undefined);
  await start?.();
}

/** Names of directories are used once. */
let replicas = 0;
