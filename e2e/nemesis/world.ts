import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { PlaneClients } from "#federation/admin-api/plane-clients.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { proxyFlags } from "#services/cli/up/planned-process.ts";
import { home, TestFederation, type CommandResult } from "../harness/test-federation.ts";
import type { LinkState } from "./faulty-link.ts";
import type { MemberLinks } from "./member-links.ts";
import { PlaneLinks, type PlaneConfig } from "./plane-links.ts";
import { nemesisPlan, planes, processOf, type Ground } from "./places.ts";

/** A plane that stands still is no reason to stand still, too; whoever gives up on a write by then does not know what became of it. */
const callMsMax = 8_000;

/** Who answers as a plane in its place, and how it is called. */
interface Replaced {
  readonly serverOf: () => string;
  /** What that said last. */
  readonly server: string;
  readonly clients: PlaneClients;
}

/** A federation on real processes whose planes reach the bus and their stores by links that can be cut, and what faults and readers remember of it. */
export class World implements AsyncDisposable {
  readonly federation: TestFederation;
  readonly ground: Ground;
  /** Planes whose store went backwards, until somebody has decided: what they show of their own may be old. */
  readonly undecided = new Set<string>();
  /** Planes whose store went backwards in this run. */
  readonly putBack = new Set<string>();
  readonly #clients: PlaneClients;
  /** Of planes whose address somebody else answers at, beside their own. */
  readonly #replaced = new Map<string, Replaced>();
  readonly #links: ReadonlyMap<string, PlaneLinks>;
  readonly #memberLinks = new Map<string, MemberLinks>();
  readonly #children = new Set<ChildProcess>();
  readonly #deferred: (() => void)[] = [];

  private constructor(federation: TestFederation, ground: Ground, links: ReadonlyMap<string, PlaneLinks>) {
    this.federation = federation;
    this.ground = ground;
    this.#links = links;
    this.#clients = this.#clientsAt((owner) => federation.planes.servers().get(owner));
  }

  /** Starts a federation; each plane starts twice, the second time behind its links. */
  static async start(ground: Ground): Promise<World> {
    const federation = await TestFederation.start(nemesisPlan, { engines: ground !== "embedded", ...(ground === "members" ? { members: 3 } : {}) });
    const links = new Map<string, PlaneLinks>();
    try {
      for (const plane of planes) {
        // Short: a Unix socket's path has 104 characters at most on some systems.
        const laid = await PlaneLinks.lay(readConfig(federation, plane), join(federation.place.dataDir, `link-${plane}`));
        links.set(plane, laid);
        writeFileSync(configFile(federation, plane), JSON.stringify(laid.linked));
      }
      const processes = planes.map((plane) => processOf(plane));
      await federation.stop(...processes);
      await federation.start(...processes);
      return new World(federation, ground, links);
    } catch (error) {
      for (const link of links.values()) await link[Symbol.asyncDispose]();
      await federation[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The admin API of a plane, wherever it is answered. */
  plane(name: string): AdminClient {
    const replaced = this.#replaced.get(name);
    if (replaced === undefined) return this.#clients.of(name);
    const server = replaced.serverOf();
    if (server !== replaced.server) this.answerAt(name, replaced.serverOf);
    return (this.#replaced.get(name)?.clients ?? this.#clients).of(name);
  }

  /** The admin API of the process that the plane was started with. */
  firstOf(plane: string): AdminClient {
    return this.#clients.of(plane);
  }

  /** From here on who calls the plane calls what `serverOf` says at that time; without it the plane itself again. */
  answerAt(plane: string, serverOf: (() => string) | undefined): void {
    this.#replaced.get(plane)?.clients[Symbol.dispose]();
    this.#replaced.delete(plane);
    if (serverOf === undefined) return;
    const server = serverOf();
    this.#replaced.set(plane, { serverOf, server, clients: this.#clientsAt(() => server) });
  }

  /** All links of a plane at once. */
  link(plane: string, to: "bus" | "store", state: LinkState): void {
    this.#links.get(plane)?.become(to, state);
  }

  /** The links between the members of a plane's etcd, which `lay` lays when there are none; they end with the world. */
  async linksOf(plane: string, lay: () => Promise<MemberLinks>): Promise<MemberLinks> {
    const links = this.#memberLinks.get(plane) ?? (await lay());
    this.#memberLinks.set(plane, links);
    return links;
  }

  /** A plane's configuration without links: another process of it has ways of its own. */
  directConfigOf(plane: string): PlaneConfig {
    const links = this.#links.get(plane);
    if (links === undefined) throw new Error(`no plane is named ${plane}`);
    return links.direct;
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
    return this.spawn(process.execPath, [...proxyFlags, ...options.nodeArguments, program, "run", "--config", configFile], { logFile: `${configFile}.log`, env: options.env });
  }

  /** Runs any program beside the supervisor's processes; ends with the world at the latest. */
  spawn(program: string, words: readonly string[], { logFile, env }: { readonly logFile: string; readonly env: Readonly<Record<string, string>> }): ChildProcess {
    const log = openSync(logFile, "a");
    try {
      const child = spawn(program, words, { cwd: home, env: { ...this.federation.place.env, ...env }, stdio: ["ignore", log, log] });
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
    for (const clients of [this.#clients, ...[...this.#replaced.values()].map((replaced) => replaced.clients)]) clients[Symbol.dispose]();
    await this.federation.place.end();
    for (const undo of this.#deferred.toReversed()) undo();
    await this.federation[Symbol.asyncDispose]();
    for (const links of [...this.#links.values(), ...this.#memberLinks.values()]) await links[Symbol.asyncDispose]();
  }

  #clientsAt(serverOf: (owner: string) => string | undefined): PlaneClients {
    return new PlaneClients({ contextText: () => this.federation.planes.contextText, serverOf, clock: systemClock, timeoutMs: callMsMax });
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
