import { existsSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { scoreDrill, type DrillRecord, type DrillScore } from "#services/cli/demo/drill-score.ts";
import { openUsersClient } from "#services/cli/demo/users-client.ts";
import { readFederationFile } from "#services/cli/up/federation-file.ts";
import type { ProcessTrace } from "#services/cli/up/managed-process.ts";
import { usersName } from "#services/cli/up/planned-process.ts";
import { isSameProcess } from "#services/cli/up/process-identity.ts";
import { endFederation, livingProcesses } from "#services/cli/up/running.ts";
import { openSupervisorClient } from "#services/cli/up/supervisor-client.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { usersSettled } from "../harness/users-settled.ts";
import { lostRegion, type Drift, type RegionLoss, type RunTarget } from "./run-target.ts";
import { ThreeRegions } from "./three-regions.ts";

const regions = ["eu-west", lostRegion, "ap-south"] as const;
const settledWithinMs = 120_000;
const shiftWithinMs = 30_000;
const recoverWithinMs = 120_000;
/** For so long nothing may fail any more after everybody is at home again. */
const afterMs = 3_000;
const never = new AbortController().signal;

/** The example as processes of this machine, with the users that `atoll up` plays. */
export class ProcessesTarget implements RunTarget {
  readonly example: ThreeRegions;
  readonly #dataDir: string;
  readonly drifts: readonly Drift[];

  private constructor(example: ThreeRegions) {
    this.example = example;
    this.#dataDir = join(example.directory, "data");
    const byHand = (...words: readonly string[]): Omit<Drift, "planned"> => ({ name: `atoll ${words.join(" ")}`, happen: () => example.atoll("--data", this.#dataDir, ...words) });
    this.drifts = [
      { ...byHand("delete", "TrafficPolicy", "web/stock"), planned: "atoll_traffic_policy.stock: create" },
      { ...byHand("down"), planned: "module.federation.atoll_local_unit.federation: create" },
    ];
  }

  /** `program` is terraform. Nothing runs yet. */
  static async open(program: string): Promise<ProcessesTarget> {
    return new ProcessesTarget(await ThreeRegions.open(program, [], {}));
  }

  processes(): readonly ProcessTrace[] {
    return livingProcesses(this.#dataDir);
  }

  async storefront(path: string): Promise<string> {
    const port = readFederationFile(this.#dataDir)?.ports["eu-west-storefront.app"] ?? 0;
    return (await call(port, { host: "storefront", path })).body.trim();
  }

  /** Their supervisor is told to leave the processes dead, as nobody would start the machines of a lost region. */
  async loseRegion(): Promise<RegionLoss> {
    await using users = new AsyncDisposableStack();
    const clients = await Promise.all(regions.map(async (name) => users.use(await openUsersClient(join(this.#dataDir, usersName), name, systemClock))));
    const beganAtMs = systemClock.nowMs();
    await usersSettled(clients, settledWithinMs);
    const before = this.processes();

    const { atMs: killAtMs, names: killed } = await this.#kill();
    const windowMs = clients[0]?.windowMs ?? 0;
    const record = (returnAtMs?: number): DrillRecord => ({ region: lostRegion, windowMs, beganAtMs, killAtMs, returnAtMs, endedAtMs: systemClock.nowMs(), inFlightAtKill: 0, windows: new Map(clients.map((one) => [one.region, one.windows])), observerStallMs: 0 });
    const scored = async (returnAtMs?: number): Promise<DrillScore> => {
      await Promise.all(clients.map((one) => one.refresh(never)));
      return scoreDrill(record(returnAtMs));
    };
    await eventually(`users of ${lostRegion} are served elsewhere`, async () => (await scored()).shiftMs !== null, shiftWithinMs);
    const { resources: planned } = await this.example.plan();

    const returnAtMs = systemClock.nowMs();
    await this.example.apply();
    await eventually(`users of ${lostRegion} are served at home again`, async () => (await scored(returnAtMs)).recoverMs !== null, recoverWithinMs);
    await pause(afterMs);
    const after = new Set(this.processes().map(({ pid, identity }) => `${pid} ${identity}`));
    const restarted = before.filter(({ name, pid, identity }) => !killed.includes(name) && !after.has(`${pid} ${identity}`)).map(({ name }) => name);
    return { killed, planned, restarted, ...(await scored(returnAtMs)) };
  }

  async #kill(): Promise<{ readonly atMs: number; readonly names: readonly string[] }> {
    await using supervisor = await openSupervisorClient(this.#dataDir, systemClock);
    return await supervisor.kill({ region: lostRegion }, never);
  }

  async destroy(): Promise<readonly string[]> {
    const before = this.processes();
    const left = await this.example.destroy();
    return [...left, ...before.filter(({ pid, identity }) => isSameProcess(pid, identity)).map(({ name }) => name)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is left to end after a destroy; after a failure this needs no terraform.
    if (existsSync(this.#dataDir)) await endFederation(this.#dataDir, systemClock, never);
    this.example[Symbol.dispose]();
  }
}
