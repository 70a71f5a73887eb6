import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseClusterId } from "#federation/model/names.ts";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import type { CommandContext } from "../context.ts";
import { secureEtcd } from "../engines/etcd-access.ts";
import { etcdTenants } from "../engines/etcd-users.ts";
import { localDirectory, planeFileName, planeFileText, serverIn } from "../plane-directory.ts";
import { Planes } from "../planes.ts";
import type { Progress } from "../terminal.ts";
import { appsAnswer } from "./app-answers.ts";
import { applyResources, readResources } from "./apply.ts";
import { clientArguments, clientsFolder } from "./client-access.ts";
import { administratorArguments, dueEngines, planesOf } from "./engine-certificates.ts";
import { engineCertificates, engineFiles, engineLifeArguments } from "./engine-plan.ts";
import { writeFederationFile, writeSecretFile, type FederationFile } from "./federation-file.ts";
import { hasRootKey, isIssuingDue, runRenewIssuing } from "./issuing-renewal.ts";
import type { ProcessChange, ResourceChange } from "./plan-change.ts";
import type { PlannedProcess, Stage, TokenNeed } from "./planned-process.ts";
import { checkPort } from "./port-block.ts";
import { approveForSide, pinnedRelationships, proposedTerms } from "./relate.ts";
import { runInit } from "./run-init.ts";
import { placeFiles, resourcesDir, serviceFiles, writeResourceFile, type ResourceFile } from "./resource-files.ts";
import { sidecarsWarm } from "./sidecars-warm.ts";
import type { SupervisorClient } from "./supervisor-client.ts";
import type { Topology } from "./topology.ts";

/** What is started, and what of it is new. */
export interface StartUpParts {
  readonly context: CommandContext;
  readonly file: FederationFile;
  /** How it was laid out when it was last told of. */
  readonly before: Topology | undefined;
  readonly topology: Topology;
  readonly change: { readonly processes: ProcessChange; readonly resources: ResourceChange };
  readonly supervisor: SupervisorClient;
  readonly progress: Progress;
}

const stageWithinMs = 90_000;

/** The order in which a federation comes to life, or becomes what its edited file says: each step needs what the one before it gave. */
export class StartUp {
  readonly #parts: StartUpParts;
  readonly #planes: Planes;

  constructor(parts: StartUpParts) {
    this.#parts = parts;
    this.#planes = new Planes(localDirectory(parts.context.dataDir, parts.topology), parts.context.terminal.clock);
  }

  /** Answers the applications that run by themselves and did not answer in time, in words. */
  async run(): Promise<readonly string[]> {
    const { context, file, topology, progress, change } = this.#parts;
    const { dataDir } = context;
    using _ = this.#planes;
    for (const planned of topology.processes) {
      if (planned.configFile !== undefined) writeSecretFile(planned.configFile, planned.configText ?? `${JSON.stringify(planned.config, null, 2)}\n`);
    }
    writeSecretFile(join(dataDir, planeFileName), planeFileText(topology));
    rmSync(join(dataDir, clientsFolder), { recursive: true, force: true });
    for (const { name } of topology.plan.clients ?? []) writeSecretFile(join(dataDir, clientsFolder, `${name}.json`), planeFileText(topology, `../global/clients/${name}.json`));
    await this.#makeKeys();
    await this.#endUnwanted();
    if (file.engines !== undefined) {
      await this.#start("engines", "etcd and NATS");
      await this.#secureStores();
    }
    await this.#start("global", "the global plane");
    await this.#apply(placeFiles(topology.plan, topology.addresses));
    await this.#start("signers", "the planes that hold a trust domain's root");
    await this.#start("planes", "the other clusters' planes");
    if (!change.resources.isEmpty) progress.step("applying services, exports and policies");
    await this.#apply(serviceFiles(topology.plan));
    if (change.resources.relationships.length > 0) progress.step("agreeing on relationships");
    await this.#relate();
    await this.#delete();
    await this.#start("apps", "the applications");
    await this.#start("proxies", "gateways and sidecars");
    // They may wait for their identity before they do anything else, and it comes from their sidecars.
    await this.#start("identifiedApps", "the applications that take their identity from their sidecars");
    await this.#start("network", "the distances between regions");
    const waitingFor = await appsAnswer(this.#parts);
    progress.step("waiting until every sidecar has measured its way to every place");
    await sidecarsWarm(this.#parts);
    await this.#start("users", "the users, after their first answers");
    writeFederationFile(dataDir, { ...file, isBootstrapped: true });
    return waitingFor;
  }

  /** The federation's keys, those of engines that are new or in the second half of their lives, and certificates for clients: each start gives them 30 days anew, and the supervisor before they end (`keepEngines`, `keepClients`). */
  async #makeKeys(): Promise<void> {
    const { context, file, topology, progress } = this.#parts;
    const keysDir = join(context.dataDir, "global");
    const isNew = !existsSync(join(keysDir, "federation-root.pem"));
    const nowMs = context.terminal.clock.nowMs();
    // First, so that none of the others is cut short by it.
    if (isIssuingDue(keysDir, nowMs) && hasRootKey(keysDir)) await this.#renewIssuing(keysDir);
    const engines = file.engines === undefined ? [] : dueEngines(keysDir, engineCertificates(topology.plan, file.engines), nowMs).flatMap((engine) => ["--engine", engine]);
    const administrator = file.engines === undefined ? [] : administratorArguments(keysDir, planesOf(topology.plan), nowMs);
    const clients = clientArguments(topology.plan.clients ?? [], serverIn(topology, "global"));
    if (!isNew && engines.length === 0 && administrator.length === 0 && clients.length === 0) return;
    progress.step(isNew ? "making the federation's root" : "making certificates for engines and clients");
    const life = file.engines === undefined ? [] : engineLifeArguments(file.engines);
    const words = [...(isNew ? ["--federation", topology.plan.federation] : []), ...engines, ...administrator, ...life, ...clients];
    await runInit(context, keysDir, words, context.signal);
  }

  /** The present one may do for half a year: what stands in the way of another keeps nothing from starting. */
  async #renewIssuing(keysDir: string): Promise<void> {
    const { context, progress } = this.#parts;
    progress.step("renewing the federation's issuing certificate");
    try {
      await runRenewIssuing(context, keysDir, [], context.signal);
    } catch (error) {
      context.signal.throwIfAborted();
      context.terminal.note(`the federation's issuing certificate stays as it is for now: ${describeError(error)}`);
    }
  }

  /** What is not wanted any more, or runs otherwise from now on; what an edit left that came to nothing is among it. */
  async #endUnwanted(): Promise<void> {
    const { supervisor, topology, change, progress, context } = this.#parts;
    const wanted = new Set(topology.processes.map(({ spec }) => spec.name));
    const strangers = (await supervisor.list(context.signal)).map(({ name }) => name).filter((name) => !wanted.has(name));
    const names = [...new Set([...strangers, ...change.processes.removed, ...change.processes.restarted])];
    if (names.length === 0) return;
    progress.step(`ending what goes or changes (${names.join(", ")})`);
    await supervisor.remove(names, context.signal);
  }

  /** Each etcd lets its planes alone in, each to its own; on data from before, too. */
  async #secureStores(): Promise<void> {
    const { context, topology } = this.#parts;
    const tls = engineFiles(context.dataDir, etcdAdministrator);
    await Promise.all(etcdTenants(topology.processes.map(({ config }) => config)).map((tenants) => secureEtcd({ tenants, tls, clock: context.terminal.clock }, context.signal)));
  }

  async #start(stage: Stage, what: string): Promise<void> {
    const { topology, supervisor, progress, context } = this.#parts;
    const members = topology.processes.filter((planned) => planned.stage === stage);
    const names = members.map(({ spec }) => spec.name);
    const states = new Map((await supervisor.list(context.signal)).map((view) => [view.name, view.state]));
    const dead = members.filter(({ spec }) => states.get(spec.name) !== "running");
    if (dead.length === 0) return;
    progress.step(`starting ${what} (${dead.length} process${dead.length === 1 ? "" : "es"})`);
    for (const { spec } of dead) {
      // Whoever listens there now would be taken for the program that cannot.
      if (spec.isGroup === true && spec.readyPort !== undefined && !states.has(spec.name)) await checkPort(spec.readyPort, spec.name);
    }
    for (const planned of dead) if (states.get(planned.spec.name) !== "starting") await this.#giveTokens(planned);
    await supervisor.add(dead.map(({ spec }) => spec), context.signal);
    await supervisor.waitReady(names, stageWithinMs, context.signal);
  }

  async #giveTokens(planned: PlannedProcess): Promise<void> {
    const { file, before } = this.#parts;
    const hasJoined = file.isBootstrapped && before?.processes.some(({ spec }) => spec.name === planned.spec.name) === true;
    for (const need of planned.tokens) {
      // A plane that has joined keeps its certificates; a proxy may have been away for longer than its own lives.
      const isPlane = need.kind === "cluster" || need.kind === "enrolment";
      if (isPlane && hasJoined) continue;
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

  /** Writes the files and applies of each what has changed. */
  async #apply(files: readonly ResourceFile[]): Promise<void> {
    const { context, change } = this.#parts;
    for (const file of files) {
      const planes = file.target.kind === "global" ? ["global"] : file.target.clusters;
      if (!planes.some((plane) => file.resources.some((resource) => change.resources.isChanged(plane, resource)))) continue;
      const resources = readResources([writeResourceFile(resourcesDir(context.dataDir), file)]);
      for (const plane of planes) {
        const changed = resources.filter(({ resource }) => change.resources.isChanged(plane, resource));
        await applyResources(this.#planes, changed, plane === "global" ? [] : [plane], context.signal);
      }
    }
  }

  /** Writes the relationships with the authorities that are there now, applies what has changed, and has both sides' signers approve. */
  async #relate(): Promise<void> {
    const { context, change } = this.#parts;
    const { relationships } = change.resources;
    if (relationships.length === 0) return;
    const path = writeResourceFile(resourcesDir(context.dataDir), await pinnedRelationships(this.#planes, relationships, context));
    await applyResources(this.#planes, readResources([path]), [], context.signal);
    for (const { name, caller, callee } of relationships) {
      const shown = await proposedTerms(this.#planes, name, context);
      for (const trustDomain of [caller.trustDomain, callee.trustDomain]) await approveForSide(this.#planes, shown, trustDomain, context);
    }
  }

  async #delete(): Promise<void> {
    for (const { plane, kind, path } of this.#parts.change.resources.deleted) {
      const client = plane === "global" ? this.#planes.global() : this.#planes.cluster(plane);
      try {
        await client.remove(kind, path, {}, this.#parts.context.signal);
      } catch (error) {
        // An earlier try got as far as this.
        if (!isAtollError(error, "ATOLL_NOT_FOUND")) throw error;
      }
    }
  }
}
