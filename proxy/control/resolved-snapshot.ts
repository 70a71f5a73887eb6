import type { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import type { ServiceHost } from "#federation/model/names.ts";
import type { Snapshot } from "#federation/model/snapshot.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { until, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { gatewayNamesOf, withAddresses, type ResolvedView } from "./gateway-names.ts";

/**
 * What the plane said with the names of gateways resolved: what requests are routed by. It never waits: a snapshot counts at once,
 * with what is known of its names at that moment, and each answer of DNS makes another one.
 *
 *   plane --snapshot--+--names--> resolver
 *                     |              | addresses
 *                     +------+-------+
 *                            v
 *                     resolved snapshot --> routes, pings
 */
export class ResolvedSnapshot {
  readonly #source: Watched<Snapshot>;
  readonly #resolver: Pick<NameResolver, "follow" | "names">;
  readonly #value: WatchedValue<Snapshot>;
  #views = new Map<ServiceHost, ResolvedView>();
  #last: Snapshot | undefined;

  constructor(source: Watched<Snapshot>, resolver: Pick<NameResolver, "follow" | "names">) {
    this.#source = source;
    this.#resolver = resolver;
    resolver.follow(gatewayNamesOf(source.current));
    this.#value = new WatchedValue(this.#derive());
  }

  get snapshot(): Watched<Snapshot> {
    return this.#value;
  }

  /** Resolves when each name has an address, or was asked for in vain. @throws {ATOLL_ABORTED} */
  async firstAnswers(signal: AbortSignal): Promise<void> {
    await until(this.#resolver.names, (names) => [...names.values()].every(({ asked, addresses }) => asked || addresses.length > 0), signal);
    this.#value.set(this.#derive());
  }

  /** Follows the plane and DNS until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await runTasks(
      [
        async (inner) => {
          for await (const snapshot of this.#source.changes(inner)) {
            this.#resolver.follow(gatewayNamesOf(snapshot));
            this.#value.set(this.#derive());
          }
        },
        async (inner) => {
          for await (const _ of this.#resolver.names.changes(inner)) this.#value.set(this.#derive());
        },
      ],
      signal,
    );
  }

  #derive(): Snapshot {
    const snapshot = this.#source.current;
    const names = this.#resolver.names.current;
    const views = new Map<ServiceHost, ResolvedView>();
    const services = new Map<ServiceHost, ResolvedView["view"]>();
    let isChanged = this.#views.size !== snapshot.services.size;
    let isNamed = false;
    for (const [host, view] of snapshot.services) {
      const before = this.#views.get(host);
      const resolved = withAddresses(view, before, (name) => names.get(name)?.addresses);
      isNamed ||= resolved.view !== view;
      isChanged ||= resolved.view !== before?.view;
      views.set(host, resolved);
      services.set(host, resolved.view);
    }
    this.#views = views;
    if (!isNamed) return snapshot;
    const last = this.#last;
    const isSame = !isChanged && last !== undefined && last.bundles === snapshot.bundles && last.inbound === snapshot.inbound && last.gatewayRoutes === snapshot.gatewayRoutes;
    this.#last = isSame ? last : { ...snapshot, services };
    return this.#last;
  }
}
