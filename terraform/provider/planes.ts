import { AdminClient } from "#federation/admin-api/client.ts";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { readPlaneFile, type PlaneFile } from "#federation/admin-api/plane-file.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** The admin APIs of a federation's planes; clients are made when they are first asked for. */
export class ProviderPlanes implements Disposable {
  readonly #file: PlaneFile;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #open = new Map<string, AdminClient>();

  /** `path` is what `atoll --context` reads. @throws {ATOLL_CONFIG_INVALID} when it cannot be. */
  constructor(path: string, timeoutMs: number) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#file = readPlaneFile(path);
  }

  /** The plane of a cluster, or the global one. @throws {ATOLL_CONFIG_INVALID} for a cluster that the context does not name. */
  of(cluster: string | undefined): AdminClient {
    const owner = cluster ?? "global";
    let client = this.#open.get(owner);
    if (client === undefined) {
      client = this.#connect(cluster);
      this.#open.set(owner, client);
    }
    return client;
  }

  /** The plane that holds the authority of `trustDomain`. @throws {ATOLL_CONFIG_INVALID} */
  signerOf(trustDomain: string): AdminClient {
    const signer = this.#file.signers.get(trustDomain);
    if (signer === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `the context ${this.#path} names no signer of the trust domain ${trustDomain}`);
    return this.of(signer);
  }

  [Symbol.dispose](): void {
    for (const client of this.#open.values()) client[Symbol.dispose]();
    this.#open.clear();
  }

  #connect(cluster: string | undefined): AdminClient {
    const context = parseAdminContext(this.#file.adminText());
    if (cluster === undefined) return new AdminClient({ context, timeoutMs: this.#timeoutMs });
    const server = this.#file.planes.get(cluster);
    if (server === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `the context ${this.#path} does not say where the plane of ${cluster} is; it names ${[...this.#file.planes.keys()].join(", ") || "none"}`);
    return new AdminClient({ context, server, serverId: createSpiffeId(context.federation, "atoll", "plane", "cluster", cluster), timeoutMs: this.#timeoutMs });
  }
}
