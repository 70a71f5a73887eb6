import { systemClock } from "#federation/runtime/clock.ts";
import { scoreDrill, type DrillRecord, type DrillScore } from "#services/cli/demo/drill-score.ts";
import { openUsersClient, type UsersClient } from "#services/cli/demo/users-client.ts";
import { usersName } from "#services/cli/up/planned-process.ts";
import { openSupervisorClient } from "#services/cli/up/supervisor-client.ts";
import { join } from "node:path";
import { eventually, pause } from "../harness/eventually.ts";
import { usersSettled } from "../harness/users-settled.ts";
import type { ThreeRegions } from "./three-regions.ts";

/** What the loss of a region came to, and its return by `terraform apply`. */
export interface RegionLoss {
  /** The processes that were killed, by name. */
  readonly killed: readonly string[];
  /** What a plan wanted to do while they were dead. */
  readonly planned: readonly string[];
  /** Processes that were not killed and are others after the return, by name. */
  readonly restarted: readonly string[];
  /** What the users of all regions saw, from before the kill until some seconds after the return. */
  readonly score: DrillScore;
}

const regions = ["eu-west", "us-east", "ap-south"] as const;
const settledWithinMs = 120_000;
const shiftWithinMs = 30_000;
const recoverWithinMs = 120_000;
/** For so long nothing may fail any more after everybody is at home again. */
const afterMs = 3_000;
const never = new AbortController().signal;

/**
 * Kills every process of `region` by SIGKILL while users call in every region, and has it brought back by Terraform. Its supervisor is
 * told to leave them dead, as nobody would start the machines of a lost region.
 */
export async function loseRegion(example: ThreeRegions, region: (typeof regions)[number]): Promise<RegionLoss> {
  const { dataDir } = example;
  await using users = new AsyncDisposableStack();
  const clients = await Promise.all(regions.map(async (name) => users.use(await openUsersClient(join(dataDir, usersName), name, systemClock))));
  const beganAtMs = systemClock.nowMs();
  await usersSettled(clients, settledWithinMs);
  const before = example.processes();

  const { atMs: killAtMs, names: killed } = await kill(dataDir, region);
  const record = (returnAtMs?: number): DrillRecord => ({ region, windowMs: clients[0]?.windowMs ?? 0, beganAtMs, killAtMs, returnAtMs, endedAtMs: systemClock.nowMs(), inFlightAtKill: 0, windows: new Map(clients.map((one) => [one.region, one.windows])), observerStallMs: 0 });
  const scored = async (returnAtMs?: number): Promise<DrillScore> => {
    await refresh(clients);
    return scoreDrill(record(returnAtMs));
  };
  await eventually(`users of ${region} are served elsewhere`, async () => (await scored()).shiftMs !== null, shiftWithinMs);
  const { resources: planned } = await example.plan();

  const returnAtMs = systemClock.nowMs();
  await example.apply();
  await eventually(`users of ${region} are served at home again`, async () => (await scored(returnAtMs)).recoverMs !== null, recoverWithinMs);
  await pause(afterMs);
  const after = new Set(example.processes().map(({ pid, identity }) => `${pid} ${identity}`));
  const restarted = before.filter(({ name, pid, identity }) => !killed.includes(name) && !after.has(`${pid} ${identity}`)).map(({ name }) => name);
  return { killed, planned, restarted, score: await scored(returnAtMs) };
}

async function kill(dataDir: string, region: string): Promise<{ readonly atMs: number; readonly names: readonly string[] }> {
  await using supervisor = await openSupervisorClient(dataDir, systemClock);
  return await supervisor.kill({ region }, never);
}

async function refresh(clients: readonly UsersClient[]): Promise<void> {
  await Promise.all(clients.map((one) => one.refresh(never)));
}
