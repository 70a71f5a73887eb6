import { tokenVoucher } from "#federation/identity/join-voucher.ts";
import type { ServiceHost } from "#federation/model/names.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { untilAborted } from "#federation/runtime/lifecycle.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { processName } from "#federation/wire/discovery-presence.ts";
import { decodeService, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { openStream, registryService } from "#federation/wire/grpc-services.ts";
import type { SessionAck, SessionReport } from "#federation/wire/workload-messages.ts";
import { askJwt } from "#proxy/control/ask-jwt.ts";
import { createDiscoveryStats, runDiscovery } from "#proxy/control/discovery-client.ts";
import { joinPlane, type Joined } from "#proxy/control/join-plane.ts";
import type { PlaneConnection } from "#proxy/control/plane-connection.ts";
import { connectionTo } from "#proxy/control/plane-connection-fixture.ts";
import { emptyHeldState, SnapshotBuilder } from "#proxy/control/snapshot-builder.ts";

/** The control half of a sidecar, over real gRPC and TLS: its identity, what discovery tells it, and its session. */
export class TestProxy implements AsyncDisposable {
  readonly joined: Joined;
  readonly stats = createDiscoveryStats();
  readonly builder: SnapshotBuilder;
  /** How many services each newer snapshot held. */
  readonly serviceCounts: number[] = [];
  readonly #stop = new AbortController();
  readonly #connection: PlaneConnection;
  readonly #done: Promise<unknown>;

  private constructor(joined: Joined, builder: SnapshotBuilder, id = "test") {
    this.joined = joined;
    this.builder = builder;
    this.#connection = connectionTo(joined.plane, joined.svid);
    const { signal } = this.#stop;
    this.#done = Promise.all([
      runDiscovery(
        {
          plane: this.#connection,
          node: { id, cluster: "", region: "", zone: "" },
          process: processName(systemRandom),
          subscriptions: [
            { typeUrl: resourceTypeUrls.service, names: "all" },
            { typeUrl: resourceTypeUrls.bundle, names: "all" },
            { typeUrl: resourceTypeUrls.inbound, names: "all" },
          ],
          builder,
          stats: this.stats,
          onLevel: () => {},
          clock: systemClock,
          random: systemRandom,
          logger: silentLogger,
        },
        signal,
      ),
      this.#count(signal),
    ]);
  }

  static async join(token: string): Promise<TestProxy> {
    return new TestProxy(await joinPlane(tokenVoucher(token), { clock: systemClock }, new AbortController().signal), new SnapshotBuilder(emptyHeldState, systemClock));
  }

  /** One that is called `id`, and refuses every response with a service whose requests may take as long as that. */
  static async joinPicky(token: string, id: string, refusesMs: number): Promise<TestProxy> {
    return await TestProxy.#joinWary(token, id, refusesMs, async () => await Promise.reject(new AtollError("ATOLL_WIRE_INVALID", "no request may take so long")));
  }

  /** One that is called `id`, and answers no response with such a service until it leaves. */
  static async joinMute(token: string, id: string, ignoresMs: number): Promise<TestProxy> {
    const proxy: TestProxy = await TestProxy.#joinWary(token, id, ignoresMs, async () => await untilAborted(proxy.#stop.signal));
    return proxy;
  }

  static async #joinWary(token: string, id: string, fromMs: number, before: () => Promise<void>): Promise<TestProxy> {
    const builder = new SnapshotBuilder(emptyHeldState, systemClock);
    const apply = builder.apply.bind(builder);
    builder.apply = async (response) => {
      if (response.typeUrl === resourceTypeUrls.service && response.resources.some(({ value }) => decodeService(value).policy.timeouts.requestMs >= fromMs)) await before();
      await apply(response);
    };
    return new TestProxy(await joinPlane(tokenVoucher(token), { clock: systemClock }, new AbortController().signal), builder, id);
  }

  /** The same proxy at a plane that has moved, with what it holds. */
  async moveTo(discoveryPort: number): Promise<TestProxy> {
    await this[Symbol.asyncDispose]();
    const plane = { ...this.joined.plane, addresses: [`127.0.0.1:${discoveryPort}`] };
    return new TestProxy({ ...this.joined, plane }, new SnapshotBuilder(this.builder.current, systemClock));
  }

  /** A JWT-SVID of its identity for `audience`. */
  async jwt(audience: string): Promise<string> {
    return (await askJwt(this.#connection.client(), [audience], systemClock.nowMs(), this.#stop.signal)).token;
  }

  service(host: string): ServiceView | undefined {
    return this.builder.snapshot.current.services.get(host as ServiceHost);
  }

  /** Reports an instance once and answers what the registry says; the session lasts as long as this proxy. */
  async report(report: Partial<SessionReport> & Pick<SessionReport, "instanceId" | "ports">): Promise<SessionAck> {
    const stream = openStream(this.#connection.client(), registryService.session, this.#stop.signal);
    const answer = new Promise<SessionAck>((resolve, reject) => {
      stream.once("data", resolve);
      stream.on("error", reject);
    });
    stream.write({ address: "127.0.0.1", inboundPort: 15_006, zone: "", weight: 1, ready: true, draining: false, ...report });
    return await answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    this.#connection[Symbol.dispose]();
  }

  async #count(signal: AbortSignal): Promise<void> {
    for await (const { services } of this.builder.snapshot.changes(signal)) this.serviceCounts.push(services.size);
  }
}
