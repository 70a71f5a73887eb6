import type { NetConnectOpts } from "node:net";
import { FaultyLink, type LinkState } from "./faulty-link.ts";

/** What a plane's configuration says, as far as faults touch it. */
export interface PlaneConfig {
  readonly bus: { readonly kind: "socket"; readonly path: string } | { readonly kind: "nats"; readonly servers: readonly string[] };
  readonly store: { readonly kind: "sqlite" } | { readonly kind: "etcd"; readonly endpoints: readonly string[] };
  /** Its ports and address by their fields. */
  readonly listen: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** The ways of one plane's process to the bus and to its store, each of which can be cut. */
export class PlaneLinks implements AsyncDisposable {
  /** The configuration without links, and with them in the place of what they lead to. */
  readonly direct: PlaneConfig;
  readonly linked: PlaneConfig;
  readonly #bus: readonly FaultyLink[];
  readonly #store: readonly FaultyLink[];

  private constructor(direct: PlaneConfig, linked: PlaneConfig, { bus, store }: { readonly bus: readonly FaultyLink[]; readonly store: readonly FaultyLink[] }) {
    this.direct = direct;
    this.linked = linked;
    this.#bus = bus;
    this.#store = store;
  }

  /** Puts a link before each server of the bus, and each member of an etcd, that `config` knows; that of a socket listens at `path`. */
  static async lay(config: PlaneConfig, path: string): Promise<PlaneLinks> {
    const bus = config.bus.kind === "socket" ? [await FaultyLink.open({ path: config.bus.path }, path)] : await openAll(config.bus.servers);
    const store = config.store.kind === "etcd" ? await openAll(config.store.endpoints) : [];
    const linked: PlaneConfig = {
      ...config,
      bus: config.bus.kind === "socket" ? { ...config.bus, path } : { ...config.bus, servers: bus.map(({ port }) => `tls://127.0.0.1:${port}`) },
      store: config.store.kind === "etcd" ? { ...config.store, endpoints: store.map(({ port }) => `https://127.0.0.1:${port}`) } : config.store,
    };
    return new PlaneLinks(config, linked, { bus, store });
  }

  /** All ways to the bus, or to the store, at once. */
  become(to: "bus" | "store", state: LinkState): void {
    for (const link of to === "bus" ? this.#bus : this.#store) link.become(state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of [...this.#bus, ...this.#store]) await link[Symbol.asyncDispose]();
  }
}

async function openAll(servers: readonly string[]): Promise<readonly FaultyLink[]> {
  return await Promise.all(servers.map(async (server) => await FaultyLink.open(targetOf(server), 0)));
}

function targetOf(server: string): NetConnectOpts {
  const { hostname, port } = new URL(server);
  return { host: hostname, port: Number(port) };
}
