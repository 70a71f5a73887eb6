import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { processName } from "#federation/wire/discovery-presence.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { serviceHostOf } from "#proxy/config.ts";
import { createDiscoveryStats, runDiscovery, type Subscription } from "#proxy/control/discovery-client.ts";
import type { Joined } from "#proxy/control/join-plane.ts";
import { connectionTo } from "#proxy/control/plane-connection-fixture.ts";
import { emptyHeldState, SnapshotBuilder } from "#proxy/control/snapshot-builder.ts";

/** A real proxy has an event loop to itself. Where many share one, that stands still for seconds when all of them dial: their pings would end connections that the plane serves. */
const pingTimeoutMs = 60_000;

/** A sidecar's discovery, as shipped, over a connection of its own; nothing is routed by what it is told. */
export class SimulatedProxy {
  readonly #stats = createDiscoveryStats();
  /** Its own: a signal looks through all its listeners for each further one, and thousands would share one. */
  readonly #life = new AbortController();
  readonly #done: Promise<void>;

  constructor(joined: Joined, id: string) {
    const { plane, svid } = joined;
    const connection = connectionTo(plane, svid, { pingTimeoutMs });
    const discovery = runDiscovery(
      {
        plane: connection,
        node: { id, cluster: "", region: "", zone: "" },
        process: processName(systemRandom),
        subscriptions: subscriptionsOf(joined),
        builder: new SnapshotBuilder(emptyHeldState, systemClock),
        stats: this.#stats,
        onLevel: () => undefined,
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
      },
      this.#life.signal,
    );
    this.#done = discovery.finally(() => connection[Symbol.dispose]());
  }

  get isConnected(): boolean {
    return this.#stats.connected;
  }

  /** Takes its leave of the plane; resolves when it has left. */
  async leave(): Promise<void> {
    this.#life.abort();
    await this.#done;
  }
}

/** As of a sidecar that names what it calls: what writers change is told to it only where it concerns it, or thousands of them in one process would do little else than hear of writes. */
function subscriptionsOf({ svid }: Joined): readonly Subscription[] {
  return [
    { typeUrl: resourceTypeUrls.bundle, names: "all" },
    { typeUrl: resourceTypeUrls.inbound, names: "all" },
    { typeUrl: resourceTypeUrls.service, names: [serviceHostOf("web/catalog", trustDomainOf(svid.spiffeId))] },
  ];
}
