import type { Issuer } from "#federation/identity/authority.ts";
import type { DomainFixture } from "#federation/identity/identity-fixture.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { BundleEndpoint } from "#services/cluster/bundle-endpoint/bundle-endpoint.ts";
import type { BundleEndpointConfig } from "#services/cluster/bundle-endpoint/endpoint-config.ts";
import { openBundleEndpoint } from "#services/cluster/bundle-endpoint/open-bundle-endpoint.ts";
import { createClusterMetrics } from "#services/cluster/metrics.ts";

const listen = { address: "127.0.0.1", discoveryPort: 0, joinPort: 0, adminPort: 0, metricsPort: 0 };

/** A trust domain's bundle as one of its planes serves it, in the test's process; what the plane has may be exchanged under it. */
export class ServedBundle implements AsyncDisposable {
  readonly keys: WatchedValue<{ readonly issuer: Issuer; readonly bundle: TrustBundle }>;
  readonly port: number;
  readonly #endpoint: BundleEndpoint;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  private constructor(keys: ServedBundle["keys"], endpoint: BundleEndpoint) {
    this.keys = keys;
    this.port = endpoint.port;
    this.#endpoint = endpoint;
    this.#running = endpoint.run(this.#stop.signal);
  }

  static async open(domain: DomainFixture, bundleEndpoint: BundleEndpointConfig): Promise<ServedBundle> {
    const keys = new WatchedValue({ issuer: domain.intermediateIssuer, bundle: domain.bundle, closed: [] });
    const metrics = createClusterMetrics("test", systemClock, { planeCertificateMs: () => 0, intermediateMs: () => 0, jwtKeySinceMs: () => 0, closedRoles: () => [] });
    const endpoint = await openBundleEndpoint({ config: { bundleEndpoint, listen, svidSeconds: 3_600 }, trustDomain: domain.name, keys, metrics, clock: systemClock, random: systemRandom, logger: silentLogger });
    if (endpoint === undefined) throw new Error("an endpoint was configured");
    return new ServedBundle(keys, endpoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#endpoint[Symbol.asyncDispose]();
  }
}
