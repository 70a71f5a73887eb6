import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { parseAdminContext } from "./admin-context.ts";
import { AdminClient } from "./client.ts";

/** Where planes are, and how they are called. */
export interface PlaneClientsOptions {
  /** Text of the admin context; read when a client is first asked for. */
  readonly contextText: () => string;
  /** `host:port` of a cluster's admin API, or of the global plane's (`global`); undefined: as the admin context says. May throw. */
  readonly serverOf: (owner: string) => string | undefined;
  readonly clock?: Clock;
  readonly timeoutMs?: number;
  /** Hears which plane answers as of when, since its store is away. Must not throw. */
  readonly onStale?: (owner: string, since: string) => void;
}

/** The admin APIs of a federation's planes; clients are made when they are first asked for. */
export class PlaneClients implements Disposable {
  readonly #options: PlaneClientsOptions;
  readonly #open = new Map<string, AdminClient>();

  constructor(options: PlaneClientsOptions) {
    this.#options = options;
  }

  /** The client of a cluster's plane, or of the global one (`global`). */
  of(owner: string): AdminClient {
    let client = this.#open.get(owner);
    if (client === undefined) {
      client = this.#connect(owner);
      this.#open.set(owner, client);
    }
    return client;
  }

  [Symbol.dispose](): void {
    for (const client of this.#open.values()) client[Symbol.dispose]();
    this.#open.clear();
  }

  #connect(owner: string): AdminClient {
    const { contextText, serverOf, clock, timeoutMs, onStale } = this.#options;
    const context = parseAdminContext(contextText());
    const server = serverOf(owner);
    return new AdminClient({
      context,
      ...(server === undefined ? {} : { server }),
      ...(owner === "global" ? {} : { serverId: createSpiffeId(context.federation, "atoll", "plane", "cluster", owner) }),
      ...(clock === undefined ? {} : { clock }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(onStale === undefined ? {} : { onStale: (since) => onStale(owner, since) }),
    });
  }
}
