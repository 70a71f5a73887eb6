import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { PlaneClients } from "#federation/admin-api/plane-clients.ts";
import type { PlaneDirectory } from "./plane-directory.ts";
import type { FederationPlan } from "./up/federation-plan.ts";
import { realEngines } from "./up/engine-plan.ts";
import { embeddedEngines, layOut, type Topology } from "./up/topology.ts";
import { PortBlock } from "./up/port-block.ts";
import type { FederationFile } from "./up/federation-file.ts";

/** The admin APIs of the planes that a directory knows. */
export class Planes implements Disposable {
  readonly #directory: PlaneDirectory;
  readonly #clients: PlaneClients;

  /** `onStale` hears once of each plane that says what may be old, and since when (RFC 3339). */
  constructor(directory: PlaneDirectory, clock: Clock, onStale: (owner: string, since: string) => void = () => undefined) {
    const stale = new Set<string>();
    this.#directory = directory;
    this.#clients = new PlaneClients({
      contextText: () => directory.contextText(),
      serverOf: (owner) => directory.serverOf(owner),
      clock,
      onStale: (owner, since) => {
        if (!stale.has(owner)) onStale(owner, since);
        stale.add(owner);
      },
    });
  }

  /** Where everything lies. @throws {ATOLL_USAGE} for a federation that `up` did not lay out. */
  get plan(): FederationPlan {
    const { plan } = this.#directory;
    if (plan === undefined) throw new AtollError("ATOLL_USAGE", `the context does not say where clusters are: name one with --cluster (there are ${this.clusters.join(", ")})`);
    return plan;
  }

  /** Text of the admin context that planes are asked by. */
  get contextText(): string {
    return this.#directory.contextText();
  }

  /** The federation's own trust domain, from the admin context. */
  get federation(): string {
    return parseAdminContext(this.contextText).federation;
  }

  get clusters(): readonly string[] {
    return this.#directory.clusters;
  }

  /** `host:port` of every plane that this reaches, by its cluster's name or "global"; without what no context says yet. */
  servers(): ReadonlyMap<string, string> {
    const known = ["global", ...this.clusters].map((owner) => [owner, this.#directory.serverOf(owner) ?? (owner === "global" ? parseAdminContext(this.#directory.contextText()).server : "")] as const);
    return new Map(known.filter(([, server]) => server !== ""));
  }

  /** The global plane's client. @throws {ATOLL_FEDERATION_NOT_RUNNING} when the federation was never started. */
  global(): AdminClient {
    return this.#clients.of("global");
  }

  /** The client of "global" or of a cluster's plane. @throws {ATOLL_USAGE | ATOLL_FEDERATION_NOT_RUNNING} */
  plane(name: string): AdminClient {
    return name === "global" ? this.global() : this.cluster(name);
  }

  /** The client of a cluster's own plane. @throws {ATOLL_USAGE} when there is no such cluster. */
  cluster(name: string): AdminClient {
    if (!this.clusters.includes(name)) throw new AtollError("ATOLL_USAGE", `there is no cluster ${name}; there are ${this.clusters.join(", ")}`);
    return this.#clients.of(name);
  }

  /** The plane that holds the authority of `trustDomain`. @throws {ATOLL_USAGE} when none is known here. */
  signerOf(trustDomain: string): string {
    const signer = this.#directory.signerOf(trustDomain);
    if (signer === undefined) throw new AtollError("ATOLL_USAGE", `there is no signer of trust domain ${trustDomain} here`);
    return signer;
  }

  /** Whether `signerOf` has an answer. */
  hasSigner(trustDomain: string): boolean {
    return this.#directory.signerOf(trustDomain) !== undefined;
  }

  [Symbol.dispose](): void {
    this.#clients[Symbol.dispose]();
  }
}

/** The federation's layout on this machine, worked out again from what `up` remembered. */
export function topologyOf(file: FederationFile, options: { readonly dataDir: string; readonly home: string; readonly node: string }): Topology {
  const { dataDir, home, node } = options;
  const ports = new PortBlock(file.portBase, file.portCount, file.ports);
  const engines = file.engines === undefined ? embeddedEngines(dataDir) : realEngines(file.plan, { dataDir, home, ports, setup: file.engines });
  return layOut(file.plan, { dataDir, home, node, ports, engines });
}
