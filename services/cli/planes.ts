import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { AdminClient } from "#federation/admin-api/client.ts";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import type { FederationPlan } from "./up/demo-federation.ts";
import { realEngines } from "./up/engine-plan.ts";
import { embeddedEngines, layOut, planeName, portBlockSize, type Topology } from "./up/topology.ts";
import { PortBlock } from "./up/port-block.ts";
import type { FederationFile } from "./up/federation-file.ts";

/** Where the admin API of every plane of a local federation is, and the certificate to call it with. */
export class Planes implements Disposable {
  readonly #dataDir: string;
  readonly #plan: FederationPlan;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #open = new Map<string, AdminClient>();

  constructor(options: { readonly dataDir: string; readonly topology: Topology; readonly clock: Clock }) {
    this.#dataDir = options.dataDir;
    this.#plan = options.topology.plan;
    this.#topology = options.topology;
    this.#clock = options.clock;
  }

  get plan(): FederationPlan {
    return this.#plan;
  }

  get clusters(): readonly string[] {
    return this.#plan.clusters.map((cluster) => cluster.name);
  }

  /** The global plane's client. @throws {ATOLL_FEDERATION_NOT_RUNNING} when the federation was never started. */
  global(): AdminClient {
    return this.#client("global", "global", "apiPort", undefined);
  }

  /** The client of a cluster's own plane. @throws {ATOLL_USAGE} when there is no such cluster. */
  cluster(name: string): AdminClient {
    if (!this.clusters.includes(name)) throw new AtollError("ATOLL_USAGE", `there is no cluster ${name}; there are ${this.clusters.join(", ")}`);
    return this.#client(name, planeName(name), "adminPort", `spiffe://${this.#plan.federation}/atoll/plane/cluster/${name}` as SpiffeId);
  }

  /** The plane that holds the authority of `trustDomain`. */
  signerOf(trustDomain: string): string {
    const signer = this.#plan.clusters.find((cluster) => cluster.trustDomain === trustDomain && cluster.isSigner);
    if (signer === undefined) throw new AtollError("ATOLL_USAGE", `there is no trust domain ${trustDomain} here`);
    return signer.name;
  }

  [Symbol.dispose](): void {
    for (const client of this.#open.values()) client[Symbol.dispose]();
    this.#open.clear();
  }

  #client(key: string, processName: string, portName: string, serverId: SpiffeId | undefined): AdminClient {
    let client = this.#open.get(key);
    if (client === undefined) {
      const listen = this.#topology.processes.find(({ spec }) => spec.name === processName)?.config["listen"] as { readonly [name: string]: number | string } | undefined;
      client = new AdminClient({
        context: parseAdminContext(this.#contextText()),
        server: `${String(listen?.["address"])}:${String(listen?.[portName])}`,
        clock: this.#clock,
        ...(serverId === undefined ? {} : { serverId }),
      });
      this.#open.set(key, client);
    }
    return client;
  }

  #contextText(): string {
    try {
      return readFileSync(join(this.#dataDir, "global", "admin-context.json"), "utf8");
    } catch (cause) {
      throw new AtollError("ATOLL_FEDERATION_NOT_RUNNING", `there is no admin context in ${this.#dataDir}`, { cause });
    }
  }
}

/** The federation's layout on this machine, worked out again from what `up` remembered. */
export function topologyOf(file: FederationFile, options: { readonly dataDir: string; readonly home: string; readonly node: string }): Topology {
  const { dataDir, home, node } = options;
  const ports = new PortBlock(file.portBase, portBlockSize);
  const engines = file.engines === undefined ? embeddedEngines(dataDir) : realEngines(file.plan, { dataDir, home, ports, programs: file.engines });
  return layOut(file.plan, { dataDir, home, node, ports, engines });
}
