import { execFile, spawn } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseClusterId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { CommandContext } from "../context.ts";
import { localDirectory } from "../plane-directory.ts";
import { Planes, topologyOf } from "../planes.ts";
import { startProgress, type Progress } from "../terminal.ts";
import { applyResources, readResources } from "./apply.ts";
import { findEngine } from "../engines/find-engine.ts";
import { demoFederation, withRates, type FederationPlan } from "./demo-federation.ts";
import { engineCertificates, type EnginePrograms } from "./engine-plan.ts";
import { readFederationFile, writeFederationFile, writeSecretFile, type FederationFile } from "./federation-file.ts";
import { checkBlock, findFreeBlock } from "./port-block.ts";
import { placeFiles, relationshipFile, serviceFiles, writeResourceFile, type ResourceFile } from "./resource-files.ts";
import { findSupervisor, livingProcesses } from "./running.ts";
import { sidecarsWarm } from "./sidecars-warm.ts";
import type { SupervisorClient } from "./supervisor-client.ts";
import { portBlockSize, type PlannedProcess, type Stage, type TokenNeed, type Topology } from "./topology.ts";

/** What `up` may be told. */
export interface BringUpOptions {
  /** First port of the block; a free block is chosen without it. */
  readonly portBase?: number;
  /** Real engines under the planes instead of the embedded ones; for a federation that is made now. */
  readonly engines?: boolean;
  /** What a federation that is made now consists of, the demo unless told; one that was made before takes the users' rates from it, unless it runs. */
  readonly plan?: FederationPlan;
  /** Told once, before anything is started. */
  readonly onPlan?: (topology: Topology, file: FederationFile) => void;
}

/** A federation that runs. */
export interface RunningFederation {
  readonly file: FederationFile;
  readonly topology: Topology;
  readonly supervisor: SupervisorClient;
  /** It ran before. */
  readonly wasRunning: boolean;
}

const stageWithinMs = 90_000;
const supervisorWithinMs = 10_000;
const pollMs = 25;

/**
 * Starts the federation of `context`, or completes one that runs in part. Everything is repeatable: what has been
 * done is done again to the same end or left as it is. The caller closes the supervisor's client.
 * @throws {ATOLL_FEDERATION_RUNNING} when processes without a supervisor are still there; {ATOLL_PORT_TAKEN}; {ATOLL_PROCESS_FAILED}
 */
export async function bringUp(context: CommandContext, options: BringUpOptions): Promise<RunningFederation> {
  const { dataDir, terminal, signal } = context;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const found = await findSupervisor(dataDir, terminal.clock);
  const known = readFederationFile(dataDir);
  if (known !== undefined && options.engines === true && known.engines === undefined) {
    throw new AtollError("ATOLL_USAGE", `federation ${context.name} was made without engines and stays so; choose another --name, or remove ${dataDir}`);
  }
  if (found === undefined) refuseLeftovers(dataDir);
  const file = known === undefined ? await newFederation(context, options) : found === undefined ? withRatesOf(known, options.plan) : known;
  const topology = topologyOf(file, context);
  const progress = startProgress(terminal);
  let client = found;
  try {
    if (found === undefined) {
      if (known !== undefined || options.portBase !== undefined) await checkBlock(file.portBase, portBlockSize);
      options.onPlan?.(topology, file);
      writeFederationFile(dataDir, file);
    }
    const supervisor = (client ??= await startSupervisor(context));
    const states = new Map((await supervisor.list(signal)).map((view) => [view.name, view.state]));
    const isComplete = file.isBootstrapped && topology.processes.every(({ spec }) => states.get(spec.name) === "running");
    if (!isComplete) await new Bootstrap({ context, file, topology, supervisor, progress }).run();
    progress.done();
    return { file: { ...file, isBootstrapped: true }, topology, supervisor, wasRunning: found !== undefined && isComplete };
  } catch (error) {
    progress.done();
    await client?.[Symbol.asyncDispose]();
    throw error;
  }
}

function refuseLeftovers(dataDir: string): void {
  const left = livingProcesses(dataDir);
  if (left.length === 0) return;
  throw new AtollError("ATOLL_FEDERATION_RUNNING", `${left.length} processes of this federation go on without their supervisor (${left[0]?.name}, pid ${left[0]?.pid}, …); \`atoll down\` ends them`);
}

async function newFederation(context: CommandContext, options: BringUpOptions): Promise<FederationFile> {
  const portBase = options.portBase ?? (await findFreeBlock(context.name, portBlockSize));
  const engines = options.engines === true ? { engines: await findEngines(context) } : {};
  return { name: context.name, portBase, ...engines, isBootstrapped: false, plan: options.plan ?? demoFederation };
}

function withRatesOf(file: FederationFile, plan: FederationPlan | undefined): FederationFile {
  if (plan === undefined) return file;
  return { ...file, plan: withRates(file.plan, new Map(plan.users.map(({ region, ratePerSecond }) => [region, ratePerSecond]))) };
}

/** Engines on PATH, else unpacked from Debian's packages into the cache. @throws {ATOLL_ENGINE_UNAVAILABLE} */
async function findEngines(context: CommandContext): Promise<EnginePrograms> {
  const options = { environment: context.env, onProgress: (sentence: string) => context.terminal.note(sentence) };
  const etcd = await findEngine("etcd", options, context.signal);
  return { etcd, natsServer: await findEngine("nats-server", options, context.signal) };
}

async function startSupervisor(context: CommandContext): Promise<SupervisorClient> {
  const { dataDir, home, node, name, env, terminal, signal } = context;
  const configFile = join(dataDir, "supervisor.json");
  const logFile = join(dataDir, "logs", "supervisor.log");
  writeSecretFile(configFile, JSON.stringify({ name, dataDir }));
  mkdirSync(join(dataDir, "logs"), { recursive: true, mode: 0o700 });
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(node, [join(home, "services/cli/up/supervisor-main.ts"), "--config", configFile], { cwd: home, env: { ...env }, stdio: ["ignore", log, log], detached: true });
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

interface BootstrapParts {
  readonly context: CommandContext;
  readonly file: FederationFile;
  readonly topology: Topology;
  readonly supervisor: SupervisorClient;
  readonly progress: Progress;
}

/** The order in which a federation comes to life: each step needs what the one before it gave. */
class Bootstrap {
  readonly #parts: BootstrapParts;
  readonly #planes: Planes;

  constructor(parts: BootstrapParts) {
    this.#parts = parts;
    this.#planes = new Planes(localDirectory(parts.context.dataDir, parts.topology), parts.context.terminal.clock);
  }

  async run(): Promise<void> {
    const { context, file, topology, progress } = this.#parts;
    using _ = this.#planes;
    for (const planned of topology.processes) writeSecretFile(planned.configFile, planned.configText ?? `${JSON.stringify(planned.config, null, 2)}\n`);
    if (!existsSync(join(context.dataDir, "global", "federation-root.pem"))) {
      progress.step("making the federation's root");
      await this.#init();
    }
    if (file.engines !== undefined) await this.#start("engines", "etcd and NATS");
    await this.#start("global", "the global plane");
    if (!file.isBootstrapped) await this.#apply(placeFiles(topology, context.dataDir));
    await this.#start("signers", "the planes that hold a trust domain's root");
    await this.#start("planes", "the other clusters' planes");
    if (!file.isBootstrapped) {
      progress.step("applying services, exports and policies");
      await this.#apply(serviceFiles(topology, context.dataDir));
      progress.step("agreeing on relationships");
      await this.#relate();
    }
    await this.#start("apps", "the applications");
    await this.#start("proxies", "gateways and sidecars");
    await this.#start("network", "the distances between regions");
    progress.step("waiting until every sidecar has measured its way to every place");
    await sidecarsWarm(this.#parts);
    await this.#start("users", "the users, after their first answers");
    writeFederationFile(context.dataDir, { ...file, isBootstrapped: true });
  }

  async #init(): Promise<void> {
    const { node, home, dataDir, env } = this.#parts.context;
    const args = [join(home, "services/global/main.ts"), "init", "--data", join(dataDir, "global"), "--federation", this.#parts.topology.plan.federation];
    if (this.#parts.file.engines !== undefined) for (const engine of engineCertificates(this.#parts.topology.plan)) args.push("--engine", engine);
    await new Promise<void>((resolve, reject) => {
      execFile(node, args, { cwd: home, env: { ...env } }, (error, _stdout, stderr) => {
        if (error === null) resolve();
        else reject(new AtollError("ATOLL_PROCESS_FAILED", `the federation's root could not be made: ${stderr.trim() || error.message}`));
      });
    });
  }

  async #start(stage: Stage, what: string): Promise<void> {
    const { topology, supervisor, progress, context } = this.#parts;
    const members = topology.processes.filter((planned) => planned.stage === stage);
    const names = members.map(({ spec }) => spec.name);
    progress.step(`starting ${what} (${members.length} process${members.length === 1 ? "" : "es"})`);
    const states = new Map((await supervisor.list(context.signal)).map((view) => [view.name, view.state]));
    const dead = members.filter(({ spec }) => !["running", "starting"].includes(states.get(spec.name) ?? "stopped"));
    for (const planned of dead) await this.#giveTokens(planned);
    await supervisor.add(dead.map(({ spec }) => spec), context.signal);
    await supervisor.waitReady(names, stageWithinMs, context.signal);
  }

  async #giveTokens(planned: PlannedProcess): Promise<void> {
    for (const need of planned.tokens) {
      // A plane that has joined keeps its certificates; a proxy may have been away for longer than its own lives.
      const isPlane = need.kind === "cluster" || need.kind === "enrolment";
      if (isPlane && this.#parts.file.isBootstrapped) continue;
      writeSecretFile(need.file, await this.#createToken(need));
    }
  }

  async #createToken(need: TokenNeed): Promise<string> {
    const { signal } = this.#parts.context;
    switch (need.kind) {
      case "cluster": {
        const body = { purpose: { kind: "cluster", cluster: parseClusterId(need.cluster) } } as const;
        return (await this.#planes.global().call(globalRoutes.createJoinToken, { body }, signal)).body.token;
      }
      case "enrolment": {
        const body = { purpose: { kind: "enrolment", cluster: parseClusterId(need.cluster) } } as const;
        return (await this.#planes.cluster(need.signer).call(clusterRoutes.createJoinToken, { body }, signal)).body.token;
      }
      case "workload": {
        const body = { purpose: { kind: "workload", namespace: need.namespace, serviceAccount: need.serviceAccount } } as const;
        return (await this.#planes.cluster(need.cluster).call(clusterRoutes.createJoinToken, { body }, signal)).body.token;
      }
      case "gateway":
        break;
    }
    const body = { purpose: { kind: "gateway" } } as const;
    return (await this.#planes.cluster(need.cluster).call(clusterRoutes.createJoinToken, { body }, signal)).body.token;
  }

  async #apply(files: readonly ResourceFile[]): Promise<void> {
    for (const file of files) {
      writeResourceFile(file);
      const clusters = file.target.kind === "clusters" ? file.target.clusters : [];
      await applyResources(this.#planes, readResources([file.path]), clusters, this.#parts.context.signal);
    }
  }

  /** Writes the relationships with the authorities that are there now, applies them, and has both sides' signers approve. */
  async #relate(): Promise<void> {
    const { context, topology } = this.#parts;
    const trustDomains = [...new Set(topology.plan.clusters.map((cluster) => cluster.trustDomain))];
    const pins = new Map<string, string>();
    for (const trustDomain of trustDomains) pins.set(trustDomain, await this.#authoritySha256(trustDomain));
    const authoritySha256 = (trustDomain: string): string => pins.get(trustDomain) ?? "";
    await this.#apply([relationshipFile(topology, context.dataDir, { authoritySha256, nowMs: context.terminal.clock.nowMs() })]);
    for (const { name, caller, callee } of topology.plan.relationships) {
      for (const trustDomain of [caller.trustDomain, callee.trustDomain]) await approveRelationship(this.#planes, name, trustDomain, context);
    }
  }

  async #authoritySha256(trustDomain: string): Promise<string> {
    const { signal } = this.#parts.context;
    const resource = await retryUntilKnown(() => this.#planes.global().get("TrustDomain", { name: parseTrustDomainName(trustDomain) }, signal), this.#parts.context);
    const spki = new X509Certificate(resource.spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" });
    return createHash("sha256").update(spki).digest("hex");
  }
}

/**
 * Has the signer of `trustDomain` sign the relationship, and hands the approval to the global plane, which checks the
 * signature. The signer may not have heard of the relationship yet, so it is asked again for a while.
 */
export async function approveRelationship(planes: Planes, name: string, trustDomain: string, context: CommandContext): Promise<void> {
  const signer = planes.cluster(planes.signerOf(trustDomain));
  const { body } = await retryUntilKnown(() => signer.call(clusterRoutes.approveRelationship, { params: { name } }, context.signal), context);
  await planes.global().call(globalRoutes.recordApproval, { params: { name }, body }, context.signal);
}

const knownWithinMs = 15_000;
const askAgainMs = 100;

/** Calls until what is asked for is known there: what one plane says reaches another a moment later. */
async function retryUntilKnown<T>(call: () => Promise<T>, context: CommandContext): Promise<T> {
  const { clock } = context.terminal;
  const startMs = clock.monotonicMs();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof AtollError) || error.code !== "ATOLL_NOT_FOUND" || clock.monotonicMs() - startMs > knownWithinMs) throw error;
    }
    await sleep(clock, askAgainMs, context.signal);
  }
}
