import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { createDiscoveryStats, runDiscovery } from "#proxy/control/discovery-client.ts";
import type { Joined } from "#proxy/control/join-plane.ts";
import { createPlaneClient } from "#proxy/control/plane-link.ts";
import { emptyHeldState, SnapshotBuilder } from "#proxy/control/snapshot-builder.ts";

/** A sidecar's discovery, as shipped, over a connection of its own; nothing is routed by what it is told. */
export class SimulatedProxy {
  readonly #stats = createDiscoveryStats();
  readonly #done: Promise<void>;

  /** Runs until `signal` aborts; then it takes its leave. */
  constructor({ plane, svid }: Joined, id: string, signal: AbortSignal) {
    const client = createPlaneClient(plane, () => svid, { clock: systemClock, lookup: createDnsLookup() });
    const discovery = runDiscovery(
      {
        client,
        node: { id, cluster: "", region: "", zone: "" },
        subscriptions: [resourceTypeUrls.bundle, resourceTypeUrls.service, resourceTypeUrls.inbound].map((typeUrl) => ({ typeUrl, names: "all" })),
        builder: new SnapshotBuilder(emptyHeldState, systemClock),
        stats: this.#stats,
        onLevel: () => undefined,
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
      },
      signal,
    );
    this.#done = discovery.finally(() => client.close());
  }

  get isConnected(): boolean {
    return this.#stats.connected;
  }

  /** Resolves when it has left. */
  async ended(): Promise<void> {
    await this.#done;
  }
}
