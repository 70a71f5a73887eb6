import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetConnectOpts } from "node:net";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { PlaneClients } from "#federation/admin-api/plane-clients.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { proxyFlags } from "#services/cli/up/planned-process.ts";
import { home, TestFederation, type CommandResult } from "../harness/test-federation.ts";
import { BusLink, type LinkState } from "./bus-link.ts";
import { nemesisPlan, planes, processOf, type Ground } from "./places.ts";

/** A plane that stands still is no reason to stand still, too; whoever gives up on a write by then does not know what became of it. */
const callMsMax = 8_000;

/** What a plane's configuration says, as far as faults touch it. */
interface PlaneConfig {
  readonly bus: { readonly kind: "socket"; readonly path: string } | { readonly kind: "nats"; readonly servers: readonly string[] };
  /** Its ports and address by their fields. */
  readonly listen: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** A federation on real processes whose planes reach the bus by links that can be cut, and what faults and readers remember of it. */
export class World implements AsyncDisposable {
  readonly federation: TestFederation;
  readonly ground: Ground;
  /** Planes whose store went backwards, until somebody has decided: what they show of their own may be old. */
  readonly undecided = new Set<string>();
  /** Planes whose store went backwards in this run. */
  readonly putBack = new Set<string>();
  readonly #clients: PlaneClients;
  readonly #links: ReadonlyMap<string, readonly BusLink[]>;
  readonly #children = new Set<ChildProcess>();
  readonly #deferred: (() => void)[] = [];

  private constructor(federation: TestFederation, ground: Ground, links: ReadonlyMap<string, readonly BusLink[]>) {
    this.federation = federation;
    this.ground = ground;
    this.#links = links;
    const { planes: directory } = federation;
    this.#clients = new PlaneClients({ contextText: () => directory.contextText, serverOf: (owner) => directory.servers().get(owner), clock: systemClock, timeoutMs: callMsMax });
  }

  /** Starts a federation; each plane starts twice, the second time behind its links. */
  static async start(ground: Ground): Promise<World> {
    const federation = await TestFederation.start(nemesisPlan, { engines: ground !== "embedded", ...(ground === "members" ? { members: 3 } : {}) });
    const links = new Map<string, readonly BusLink[]>();
    try {
      for (const plane of planes) links.set(plane, await layLinks(federation, plane));
      const processes = planes.map((plane) => processOf(plane));
      await federation.stop(...processes);
      await federation.start(...processes);
      return new World(federation, ground, links);
    } catch (error) {
      for (const link of [...links.values()].flat()) await link[Symbol.asyncDispose]();
      await federation[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The admin API of a plane. */
  plane(name: string): AdminClient {
    return this.#clients.of(name);
  }

  /** All links of a plane at once. */
  link(plane: string, state: LinkState): void {
    for (const link of this.#links.get(plane) ?? []) link.become(state);
  }

  atoll(...args: readonly string[]): Promise<CommandResult> {
    return this.federation.place.atoll(...args);
  }

  configOf(plane: string): PlaneConfig {
    return readConfig(this.federation, plane);
  }

  /** Runs a plane's program beside the supervisor's processes, by the configuration in `configFile`; ends with the world at the latest. */
  spawnPlane(plane: string, configFile: string, options: { readonly nodeArguments: readonly string[]; readonly env: Readonly<Record<string, string>> }): ChildProcess {
    const program = join(home, plane === "global" ? "services/global/main.ts" : "services/cluster/main.ts");
    const log = openSync(`${configFile}.log`, "a");
    try {
      const child = spawn(process.execPath, [...proxyFlags, ...options.nodeArguments, program, "run", "--config", configFile], { cwd: home, env: { ...this.federation.place.env, ...options.env }, stdio: ["ignore", log, log] });
      this.#children.add(child);
      child.once("exit", () => void this.#children.delete(child));
      return child;
    } finally {
      closeSync(log);
    }
  }

  /** Has `undo` called when every process of the world has ended, before its directory is removed. */
  defer(undo: () => void): void {
    this.#deferred.push(undo);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await killChild(child);
    this.#clients[Symbol.dispose]();
    await this.federation.place.end();
    for (const undo of this.#deferred.toReversed()) undo();
    await this.federation[Symbol.asyncDispose]();
    for (const link of [...this.#links.values()].flat()) await link[Symbol.asyncDispose]();
  }
}

/** SIGKILL; resolves when it has ended. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

function configFile(federation: TestFederation, plane: string): string {
  return join(federation.directoryOf(processOf(plane)), "config.json");
}

function readConfig(federation: TestFederation, plane: string): PlaneConfig {
  return JSON.parse(readFileSync(configFile(federation, plane), "utf8")) as PlaneConfig;
}

/** Puts a link before each server of the bus that a plane knows, and the links into its configuration. */
async function layLinks(federation: TestFederation, plane: string): Promise<readonly BusLink[]> {
  const config = readConfig(federation, plane);
  const { bus } = config;
  const targets: readonly NetConnectOpts[] = bus.kind === "socket" ? [{ path: bus.path }] : bus.servers.map((server) => ({ host: new URL(server).hostname, port: Number(new URL(server).port) }));
  // Short: a Unix socket's path has 104 characters at most on some systems.
  const path = join(federation.place.dataDir, `link-${plane}`);
  const links: BusLink[] = [];
  for (const target of targets) links.push(await BusLink.open(target, bus.kind === "socket" ? path : 0));
  const linked = bus.kind === "socket" ? { ...bus, path } : { ...bus, servers: links.map(({ port }) => `tls://127.0.0.1:${port}`) };
  writeFileSync(configFile(federation, plane), JSON.stringify({ ...config, bus: linked }));
  return links;
}
