import type { AdminClient } from "#federation/admin-api/client.ts";
import { PlaneClients } from "#federation/admin-api/plane-clients.ts";
import { readPlaneFile, type PlaneFile } from "#federation/admin-api/plane-file.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** What the environment of a process is: of Terraform's, without what is not set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What resources and data sources are kept by: the planes' admin APIs, and for units of this machine the environment that they run in. */
export interface ProviderPlanes {
  readonly environment: Environment;
  /** Those whose planes can be asked. */
  readonly clusters: readonly string[];
  /** Bound of one call. */
  readonly timeoutMs: number;
  /** The plane of a cluster, or the global one. @throws {ATOLL_CONFIG_INVALID} for a cluster that the context does not name. */
  of(cluster: string | undefined): AdminClient;
  /** The plane that holds the authority of `trustDomain`. @throws {ATOLL_CONFIG_INVALID} */
  signerOf(trustDomain: string): AdminClient;
}

/** Planes of a provider that knows none: whoever asks hears `why`. Units of this machine ask none. */
export function noPlanes(why: string, environment: Environment): ProviderPlanes {
  const refuse = (): never => {
    throw new AtollError("ATOLL_CONFIG_INVALID", why);
  };
  return { environment, clusters: [], timeoutMs: 0, of: refuse, signerOf: refuse };
}

/** The planes that a context file names. */
export class ContextPlanes implements ProviderPlanes, Disposable {
  readonly environment: Environment;
  readonly timeoutMs: number;
  readonly #file: PlaneFile;
  readonly #path: string;
  readonly #clients: PlaneClients;

  /** `path` is what `atoll --context` reads. @throws {ATOLL_CONFIG_INVALID} when it cannot be. */
  constructor(path: string, timeoutMs: number, environment: Environment) {
    this.environment = environment;
    this.timeoutMs = timeoutMs;
    this.#path = path;
    this.#file = readPlaneFile(path);
    this.#clients = new PlaneClients({ contextText: this.#file.adminText, serverOf: (owner) => (owner === "global" ? undefined : this.#serverOf(owner)), timeoutMs });
  }

  get clusters(): readonly string[] {
    return [...this.#file.planes.keys()];
  }

  of(cluster: string | undefined): AdminClient {
    return this.#clients.of(cluster ?? "global");
  }

  signerOf(trustDomain: string): AdminClient {
    const signer = this.#file.signers.get(trustDomain);
    if (signer === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `the context ${this.#path} names no signer of the trust domain ${trustDomain}`);
    return this.of(signer);
  }

  [Symbol.dispose](): void {
    this.#clients[Symbol.dispose]();
  }

  #serverOf(cluster: string): string {
    const server = this.#file.planes.get(cluster);
    if (server === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `the context ${this.#path} does not say where the plane of ${cluster} is; it names ${[...this.#file.planes.keys()].join(", ") || "none"}`);
    return server;
  }
}
