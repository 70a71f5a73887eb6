import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { topologyOf } from "../planes.ts";
import { builtProgram } from "../programs/built-program.ts";
import { ensurePrograms } from "../programs/ensure-programs.ts";
import { programSources } from "../programs/program-sources.ts";
import { startProgress } from "../terminal.ts";
import { findEngine } from "../engines/find-engine.ts";
import { demoFederation, withRates } from "./demo-federation.ts";
import type { EngineSetup } from "./engine-plan.ts";
import { readFederationFile, writeFederationFile, writeSecretFile, type FederationFile } from "./federation-file.ts";
import type { FederationPlan } from "./federation-plan.ts";
import { changedForLife, compareProcesses, compareResources, type ProcessChange } from "./plan-change.ts";
import { checkBlock, findFreeBlock } from "./port-block.ts";
import { findSupervisor, livingProcesses } from "./running.ts";
import { StartUp } from "./start-up.ts";
import type { SupervisorClient } from "./supervisor-client.ts";
import { portCountOf, type Topology } from "./topology.ts";
import { takeUpLock } from "./up-lock.ts";

/** What `up` may be told. */
export interface BringUpOptions {
  /** First port of the block; a free block is chosen without it. */
  readonly portBase?: number;
  /** Real engines under the planes instead of the embedded ones; for a federation that is made now. */
  readonly engines?: boolean;
  /** Members of each engine, one unless told; only with `engines`. */
  readonly members?: number;
  /** How long certificates of engines live, in seconds; 30 days unless told. */
  readonly certificateSeconds?: number;
  /**
   * What the federation consists of, the demo unless told. Without `source`, one that was made before keeps its own
   * and takes the users' rates from this, unless it runs.
   */
  readonly plan?: FederationPlan;
  /** The user's file that `plan` was read from: the federation becomes what it says. */
  readonly source?: string;
  /** Told once, before anything is started. */
  readonly onPlan?: (topology: Topology, file: FederationFile) => void;
}

/** A federation that runs. */
export interface RunningFederation {
  readonly file: FederationFile;
  readonly topology: Topology;
  readonly supervisor: SupervisorClient;
  /** It ran before, as it is wanted now. */
  readonly wasRunning: boolean;
  /** Applications of the user's own that did not answer in time, in words. */
  readonly waitingFor: readonly string[];
}

const supervisorWithinMs = 10_000;
const pollMs = 25;

/**
 * Starts the federation of `context`, completes one that runs in part, or makes of one that runs what its edited file
 * says. Everything is repeatable: what has been done is done again to the same end or left as it is. The caller closes
 * the supervisor's client.
 * @throws {ATOLL_FEDERATION_RUNNING} when another `atoll up` is at it, processes without a supervisor are still there, or an edit needs `down` first; {ATOLL_PORT_TAKEN}; {ATOLL_PROCESS_FAILED}
 */
export async function bringUp(context: CommandContext, options: BringUpOptions): Promise<RunningFederation> {
  const { dataDir, terminal, signal } = context;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  using _ = takeUpLock(dataDir);
  const found = await findSupervisor(dataDir, terminal.clock);
  let client = found;
  const progress = startProgress(terminal);
  try {
    const known = readFederationFile(dataDir);
    if (known !== undefined) refuseOtherKind(known, context, options);
    if (found === undefined) refuseLeftovers(dataDir);
    const wanted = known === undefined ? await newFederation(context, options) : nextFile(known, options, found !== undefined);
    const topology = topologyOf(wanted, context);
    const file = { ...wanted, ports: topology.ports };
    const before = known === undefined ? undefined : topologyOf(known, context);
    const processes = before === undefined ? { removed: [], restarted: [], needsDown: [] } : compareProcesses(before, topology);
    if (found !== undefined) refuseHardEdit(processes, context);
    else {
      if (known !== undefined || options.portBase !== undefined) await checkBlock(file.portBase, file.portCount);
      options.onPlan?.(topology, file);
      if (known === undefined) writeFederationFile(dataDir, file);
    }
    const resources = compareResources(file.isBootstrapped ? before : undefined, topology);
    const programs = await ensurePrograms(context.home, programSources, () => progress.step("putting the programs into one file each"));
    if (programs.kind === "sources") terminal.note(`The programs run from their sources, since they could not be built: ${programs.reason}`);
    const supervisor = (client ??= await startSupervisor(context));
    const views = await supervisor.list(signal);
    const states = new Map(views.map((view) => [view.name, view.state]));
    const isComplete = file.isBootstrapped && resources.isEmpty && processes.restarted.length === 0 && views.length === topology.processes.length && topology.processes.every(({ spec }) => states.get(spec.name) === "running");
    const startUp = new StartUp({ context, file, before, topology, change: { processes, resources }, supervisor, progress });
    const waitingFor = isComplete ? [] : await startUp.run();
    progress.done();
    return { file: { ...file, isBootstrapped: true }, topology, supervisor, wasRunning: found !== undefined && isComplete, waitingFor };
  } catch (error) {
    progress.done();
    await client?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** @throws {ATOLL_USAGE} when the directory holds a federation that cannot become the one that is asked for. */
function refuseOtherKind(known: FederationFile, context: CommandContext, options: BringUpOptions): void {
  const refuse = (what: string): never => {
    throw new AtollError("ATOLL_USAGE", `federation ${context.name} ${what}; choose another --name, or remove ${context.dataDir}`);
  };
  if (options.engines === true && known.engines === undefined) refuse("was made without engines and stays so");
  const members = known.engines?.members ?? 1;
  if (options.members !== undefined && options.members !== members) refuse(`was made with ${members} of each engine and stays so`);
  if (options.source !== undefined && known.source === undefined) refuse("is not of a file");
  if (options.source !== undefined && options.plan !== undefined && options.plan.federation !== known.plan.federation) refuse(`has the trust domain ${known.plan.federation}, which its keys are made for`);
  const forLife = options.source === undefined || options.plan === undefined ? [] : changedForLife(known.plan, options.plan);
  if (forLife.length > 0) refuse(`cannot become that: ${forLife.join("; ")}. Give the new one a name of its own`);
}

/** @throws {ATOLL_FEDERATION_RUNNING} when what runs would have to be restarted under everybody. */
function refuseHardEdit({ needsDown }: ProcessChange, context: CommandContext): void {
  if (needsDown.length === 0) return;
  const flags = context.flags === "" ? "" : ` ${context.flags}`;
  throw new AtollError("ATOLL_FEDERATION_RUNNING", `this edit needs \`atoll down${flags}\` first, since everybody rests on what it changes: ${needsDown.join("; ")}. Nothing was changed`);
}

/** What is wanted of a federation that was made before. */
function nextFile(known: FederationFile, options: BringUpOptions, isRunning: boolean): FederationFile {
  if (options.source !== undefined && options.plan !== undefined) return { ...known, source: options.source, plan: options.plan };
  return isRunning ? known : withRatesOf(known, options.plan);
}

function refuseLeftovers(dataDir: string): void {
  const left = livingProcesses(dataDir);
  if (left.length === 0) return;
  throw new AtollError("ATOLL_FEDERATION_RUNNING", `${left.length} processes of this federation go on without their supervisor (${left[0]?.name}, pid ${left[0]?.pid}, …); \`atoll down\` ends them`);
}

async function newFederation(context: CommandContext, options: BringUpOptions): Promise<FederationFile> {
  const plan = options.plan ?? demoFederation;
  const portCount = portCountOf(plan, options.members);
  const portBase = options.portBase ?? (await findFreeBlock(context.name, portCount));
  const engines = options.engines === true ? { engines: await findEngines(context, options) } : {};
  const source = options.source === undefined ? {} : { source: options.source };
  return { name: context.name, ...source, portBase, portCount, ports: {}, ...engines, isBootstrapped: false, plan };
}

function withRatesOf(file: FederationFile, plan: FederationPlan | undefined): FederationFile {
  if (plan === undefined) return file;
  return { ...file, plan: withRates(file.plan, new Map(plan.users.map(({ region, ratePerSecond }) => [region, ratePerSecond]))) };
}

/** Engines on PATH, else unpacked from Debian's packages into the cache. @throws {ATOLL_ENGINE_UNAVAILABLE} */
async function findEngines(context: CommandContext, { members, certificateSeconds }: BringUpOptions): Promise<EngineSetup> {
  const options = { environment: context.env, onProgress: (sentence: string) => context.terminal.note(sentence) };
  const etcd = await findEngine("etcd", options, context.signal);
  const natsServer = await findEngine("nats-server", options, context.signal);
  return { etcd, natsServer, hasStorePerPlane: true, ...(members === undefined ? {} : { members }), ...(certificateSeconds === undefined ? {} : { certificateSeconds }) };
}

async function startSupervisor(context: CommandContext): Promise<SupervisorClient> {
  const { dataDir, home, node, name, env, terminal, signal } = context;
  const configFile = join(dataDir, "supervisor.json");
  const logFile = join(dataDir, "logs", "supervisor.log");
  writeSecretFile(configFile, JSON.stringify({ name, dataDir }));
  mkdirSync(join(dataDir, "logs"), { recursive: true, mode: 0o700 });
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(node, [builtProgram(home, join(home, "services/cli/up/supervisor-main.ts")), "--config", configFile], { cwd: home, env: { ...env }, stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  child.unref();
  const startMs = terminal.clock.monotonicMs();
  for (;;) {
    const client = await findSupervisor(dataDir, terminal.clock);
    if (client !== undefined) return client;
    if (child.exitCode !== null || terminal.clock.monotonicMs() - startMs > supervisorWithinMs) {
      throw new AtollError("ATOLL_PROCESS_FAILED", `the supervisor does not start; its log is ${logFile}`);
    }
    await sleep(terminal.clock, pollMs, signal);
  }
}
