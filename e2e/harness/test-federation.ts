import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { joinPlane, type Joined } from "#proxy/control/join-plane.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { tokenVoucher, type JoinVoucher } from "#federation/identity/join-voucher.ts";
import { createPinnedBundle } from "#federation/identity/first-contact.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { CommandContext } from "#services/cli/context.ts";
import { openUsersClient, type UsersClient } from "#services/cli/demo/users-client.ts";
import { localDirectory } from "#services/cli/plane-directory.ts";
import { Planes } from "#services/cli/planes.ts";
import { createTerminal } from "#services/cli/terminal.ts";
import { bringUp, type BringUpOptions, type RunningFederation } from "#services/cli/up/bring-up.ts";
import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { writeSecretFile } from "#services/cli/up/federation-file.ts";
import type { ProcessView } from "#services/cli/up/process-spec.ts";
import { endFederation } from "#services/cli/up/running.ts";
import { usersName, type PlannedProcess } from "#services/cli/up/planned-process.ts";
import { compileCache } from "./compile-cache.ts";
import { eventually } from "./eventually.ts";
import { call } from "./http-call.ts";
import { usersSettled } from "./users-settled.ts";

/** The installation under test. */
export const home = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const never = new AbortController().signal;
const readyWithinMs = 60_000;
const commandWithinMs = 180_000;
/** Of processes that have been killed: a busy host takes its time to collect them. */
const endedWithinMs = 60_000;
const loopback = "127.0.0.1";
const anyPorts = { outbound: 0, inbound: 0, gateway: 0, admin: 0, metrics: 0 };

/** What a command of `atoll` came to. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory of its own for one federation, with a home and a temporary directory that nothing should ever write to. */
export class Place implements Disposable {
  /** Short: a Unix socket's path has 104 characters at most on some systems. */
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), "atoll-")));
  readonly name = basename(this.directory).toLowerCase();
  readonly dataDir = join(this.directory, "data");
  /** Home and temporary directory of its processes; stays empty. */
  readonly homeDirectory = join(this.directory, "home");

  constructor() {
    mkdirSync(this.homeDirectory);
  }

  /** What its processes get: nothing of the test runner's own settings. */
  get env(): Readonly<Record<string, string | undefined>> {
    const own = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(VITEST|NODE_OPTIONS|NODE_ENV|XDG_|FORCE_COLOR|NO_COLOR)/.test(key)));
    // Engines that were unpacked before are used again; everything else that looks for a place to write finds an empty one.
    const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
    return { ...own, HOME: this.homeDirectory, TMPDIR: this.homeDirectory, XDG_CACHE_HOME: cache, NODE_COMPILE_CACHE: compileCache };
  }

  /** Runs `atoll …` on this place's federation, as a process of its own. */
  atoll(...args: readonly string[]): Promise<CommandResult> {
    return this.atollWithin({ timeout: commandWithinMs }, ...args);
  }

  /** With bounds of its own; `signal` ends the command as an operator would, so that it cleans up. */
  atollWithin(limits: { readonly timeout: number; readonly signal?: AbortSignal }, ...args: readonly string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      const all = [join(home, "bin/atoll.cjs"), "--name", this.name, "--data", this.dataDir, ...args];
      execFile(process.execPath, all, { cwd: this.directory, env: { ...this.env }, ...limits, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** Ends whatever of the federation still lives. */
  async end(): Promise<void> {
    await endFederation(this.dataDir, systemClock, never);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A federation on real processes, and what tests do to it. Disposing ends every process and removes the directory. */
export class TestFederation implements AsyncDisposable {
  readonly place: Place;
  readonly planes: Planes;
  readonly #running: RunningFederation;
  readonly #users = new Map<string, UsersClient>();

  private constructor(place: Place, running: RunningFederation) {
    this.place = place;
    this.#running = running;
    this.planes = this.openPlanes();
  }

  /** Brings `plan` up, on real engines when asked for, of `members` each, whose certificates live so long; on failure nothing is left of it. */
  static async start(plan: FederationPlan, { engines = false, ...more }: Pick<BringUpOptions, "engines" | "members" | "certificateSeconds"> = {}): Promise<TestFederation> {
    const place = new Place();
    try {
      return new TestFederation(place, await bringUp(createContext(place), { plan, engines, ...more }));
    } catch (error) {
      await place.end();
      place[Symbol.dispose]();
      throw error;
    }
  }

  /** Clients of their own, with connections of their own; for whoever disposes of them. */
  openPlanes(): Planes {
    return new Planes(localDirectory(this.place.dataDir, this.#running.topology), systemClock);
  }

  /** The directory of one process. */
  directoryOf(processName: string): string {
    return join(this.place.dataDir, processName);
  }

  async view(processName: string): Promise<ProcessView> {
    const found = (await this.#running.supervisor.list(never)).find(({ name }) => name === processName);
    if (found === undefined) throw new Error(`no process is named ${processName}`);
    return found;
  }

  list(): Promise<readonly ProcessView[]> {
    return this.#running.supervisor.list(never);
  }

  /** A port by what the process itself calls it. */
  async port(processName: string, portName: string): Promise<number> {
    const { ports } = await this.view(processName);
    const port = ports[portName];
    if (port === undefined) throw new Error(`${processName} has no port ${portName}; it has ${Object.keys(ports).join(", ")}`);
    return port;
  }

  /** A page of a proxy's own admin port: /stats, /snapshot, … */
  async admin<T>(proxyName: string, page: string): Promise<T> {
    const { body } = await call(await this.port(proxyName, "admin"), { path: page });
    return JSON.parse(body) as T;
  }

  /** The Prometheus page of a process. */
  async metrics(processName: string): Promise<string> {
    return (await call(await this.port(processName, "metrics"), { path: "/metrics" })).body;
  }

  /** The whole log of a process. */
  async log(processName: string): Promise<string> {
    return readFileSync((await this.view(processName)).logFile, "utf8");
  }

  /** Calls through a sidecar's outbound port. */
  async callThrough(sidecar: string, host: string, path = "/"): ReturnType<typeof call> {
    return await call(await this.port(sidecar, "outbound"), { host, path });
  }

  /** SIGKILL; resolves when they have ended, so that nobody has their files open, and they stay dead until `start`. */
  async kill(...names: readonly string[]): Promise<void> {
    await this.#running.supervisor.kill({ names }, never);
    await eventually(`${names.join(", ")} have ended`, async () => (await this.list()).every(({ name, pid }) => pid === undefined || !names.includes(name)), endedWithinMs);
  }

  /** SIGTERM; resolves when they have ended, and they stay so until `start`. */
  async stop(...names: readonly string[]): Promise<void> {
    await this.#running.supervisor.stop({ names }, never);
  }

  /** Starts what was killed or stopped and waits until it serves. */
  async start(...names: readonly string[]): Promise<void> {
    await this.#running.supervisor.start({ names }, never);
    await this.#running.supervisor.waitReady(names, readyWithinMs, never);
  }

  /** The users of a region, with every window since this was first called. */
  async users(region: string): Promise<UsersClient> {
    let client = this.#users.get(region);
    if (client === undefined) {
      client = await openUsersClient(this.directoryOf(usersName), region, systemClock);
      this.#users.set(region, client);
    }
    await client.refresh(never);
    return client;
  }

  /**
   * Waits until the users of `regions` have been served without a failure for longer than any of them waits for an
   * answer: then nothing that was sent while the federation started can fail later and be taken for the test's doing.
   */
  async usersSettled(regions: readonly string[], withinMs = 90_000): Promise<void> {
    await usersSettled(await Promise.all(regions.map((region) => this.users(region))), withinMs);
  }

  /** A join token for a workload of `cluster`. */
  async workloadToken(cluster: string, namespace: string, serviceAccount: string): Promise<string> {
    const body = { purpose: { kind: "workload", namespace, serviceAccount } } as const;
    return (await this.planes.cluster(cluster).call(clusterRoutes.createJoinToken, { body }, never)).body.token;
  }

  /** The bundle of the federation's own trust domain, to which every plane belongs. */
  federationBundle(): TrustBundle {
    return createPinnedBundle(new X509Certificate(readFileSync(join(this.directoryOf("global"), "federation-root.pem"))).raw);
  }

  /** Redeems a token as a proxy does. */
  redeem(token: string): Promise<Joined> {
    return this.redeemVoucher(tokenVoucher(token));
  }

  /** The same by any proof. */
  redeemVoucher(voucher: JoinVoucher): Promise<Joined> {
    return joinPlane(voucher, { clock: systemClock }, never);
  }

  /** Adds a sidecar that only calls, with a JSON access log, and waits until it serves; `more` goes into its configuration. Returns the log's path. */
  async addCaller(name: string, identity: { readonly cluster: string; readonly region: string; readonly namespace: string; readonly serviceAccount: string }, more: object = {}): Promise<string> {
    const accessLog = join(this.directoryOf(name), "access.log");
    const token = await this.workloadToken(identity.cluster, identity.namespace, identity.serviceAccount);
    await this.#addProxy("sidecar", name, token, { address: loopback, region: identity.region, ports: anyPorts, accessLog: { format: "json", path: accessLog }, ...more });
    return accessLog;
  }

  /** Adds another gateway to a cluster, on a loopback address of its own, and waits until it serves. */
  async addGateway(name: string, at: { readonly cluster: string; readonly region: string; readonly address: string; readonly port: number }): Promise<void> {
    const body = { purpose: { kind: "gateway" } } as const;
    const { token } = (await this.planes.cluster(at.cluster).call(clusterRoutes.createJoinToken, { body }, never)).body;
    await this.#addProxy("gateway", name, token, { address: at.address, region: at.region, ports: { ...anyPorts, gateway: at.port } });
  }

  async #addProxy(mode: "sidecar" | "gateway", name: string, token: string, more: object): Promise<void> {
    const directory = this.directoryOf(name);
    const configFile = join(directory, "config.json");
    const joinTokenFile = join(directory, "join-token");
    writeSecretFile(joinTokenFile, token);
    writeSecretFile(configFile, JSON.stringify({ mode, name, dataDir: directory, joinTokenFile, ...more }));
    const spec: PlannedProcess["spec"] = {
      name,
      kind: mode,
      command: process.execPath,
      args: [join(home, "proxy/main.ts"), "--config", configFile],
      cwd: home,
      logFile: join(this.place.dataDir, "logs", `${name}.log`),
      readyFile: join(directory, "ready.json"),
    };
    await this.#running.supervisor.add([spec], never);
    await this.#running.supervisor.waitReady([name], readyWithinMs, never);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.planes[Symbol.dispose]();
    for (const users of this.#users.values()) await users[Symbol.asyncDispose]();
    await this.#running.supervisor[Symbol.asyncDispose]();
    await this.place.end();
    // For whoever looks into a failure: everything stays to be read.
    if (process.env["ATOLL_KEEP_SCENARIOS"] === undefined) this.place[Symbol.dispose]();
  }
}

/** As the command line would make it, but without anybody to read along. */
function createContext(place: Place): CommandContext {
  const { name, dataDir, env } = place;
  const terminal = createTerminal({ clock: systemClock, wantsColor: false, stdout: process.stdout, stderr: process.stderr });
  const silent = { ...terminal, isInteractive: false, isErrorInteractive: false, print: () => undefined, note: () => undefined, raw: () => undefined, rawError: () => undefined };
  return { name, dataDir, env, home, output: "json", terminal: silent, node: process.execPath, version: "test", signal: never, flags: `--name ${name}` };
}
