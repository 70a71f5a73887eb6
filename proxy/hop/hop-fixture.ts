import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ClusterId, RegionId, SpiffeId } from "#federation/model/names.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { LoadReport } from "../admission/load-report.ts";
import { unknownLoad } from "../admission/load-report.ts";
import { Reply } from "../http/exchange.ts";
import type { Stage } from "../http/exchange.ts";
import { InboundServer } from "../http/inbound-server.ts";
import { TelemetryStage } from "../http/telemetry-stage.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import { appRoute } from "../inbound-apps.ts";
import { AppChooser } from "../upstream/app-chooser.ts";
import type { Connector } from "../upstream/connector.ts";
import { plainConnector, readInto } from "../upstream/connector.ts";
import { PoolSet } from "../upstream/pool-set.ts";
import { hopProtocol } from "./frames.ts";
import type { HopLimits } from "./frames.ts";

export const catalogSni = "p80.catalog.web.svc.shop.example";

/** Plain connections on which a handshake is played that chose `protocol`; counts them. */
export class PlayedConnector implements Connector {
  readonly negotiates = true;
  readonly #protocol: string;
  opened = 0;

  constructor(protocol: string = hopProtocol) {
    this.#protocol = protocol;
  }

  connect: Connector["connect"] = (target, handler) => {
    this.opened++;
    const socket = connect({ host: target.address, port: target.port, allowHalfOpen: true, autoSelectFamily: false, noDelay: true, onread: readInto(handler) });
    socket.once("connect", () => {
      const isOffered = target.protocols?.includes(this.#protocol) === true;
      (socket as TLSSocket).alpnProtocol = isOffered ? this.#protocol : (target.protocols?.at(-1) ?? false);
      handler.onReady();
    });
    return socket;
  };
}

export interface CalleeOptions {
  /** Any that is free unless given. */
  readonly port?: number;
  readonly instance?: string;
  readonly isAllowed?: () => boolean;
  readonly report?: () => LoadReport;
  readonly hopLimits?: HopLimits;
  /** Its admission refuses every request. */
  readonly isFull?: boolean;
  /** Hears of each request when its class is known. */
  readonly guard?: Stage;
  readonly callerId?: SpiffeId;
  /** What the handshake chose; the hop unless given. */
  readonly protocol?: string;
  /** Reads the socket's bytes instead of the inbound side. */
  readonly instead?: (socket: Socket) => void;
}

const fullStage: Stage = {
  name: "full",
  request(x) {
    x.status = 503;
    x.flag = "UO";
    x.reason = "over_limit";
    return Reply;
  },
  response() {},
  end() {},
};

/** The inbound side of a sidecar on a port of its own, with the application at `appPort`; its clock stands still. */
export class TestCallee implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly inbound: InboundServer;
  readonly pools: PoolSet;
  readonly telemetry = new TelemetryStage(this.clock);
  readonly sockets: Socket[] = [];
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  readonly #options: CalleeOptions;

  private constructor(appPort: number, options: CalleeOptions) {
    this.#options = options;
    const { clock } = this;
    const random = createSeededRandom(3);
    const wheel = new TimingWheel(clock);
    this.pools = new PoolSet({ connector: plainConnector, clock, random, wheel });
    const pool = this.pools.claim({ address: "127.0.0.1", port: appPort, sni: "", identities: [] });
    const route = appRoute("catalog.web.svc.shop.example", new AppChooser(pool, "here" as ClusterId, "eu" as RegionId));
    this.inbound = new InboundServer({
      clock,
      random,
      wheel,
      telemetry: this.telemetry,
      findRoute: (sni) => (sni === catalogSni ? route : undefined),
      isAllowed: options.isAllowed ?? (() => true),
      ownIdentity: () => "spiffe://shop.example/ns/web/sa/catalog" as SpiffeId,
      instance: options.instance ?? "catalog-1",
      reportOf: options.report ?? (() => unknownLoad),
      ...(options.hopLimits === undefined ? {} : { hopLimits: options.hopLimits }),
      ...(options.guard === undefined ? {} : { guard: options.guard }),
      ...(options.isFull === true ? { guard: fullStage } : {}),
    });
  }

  static async open(appPort: number, options: CalleeOptions = {}): Promise<TestCallee> {
    const callee = new TestCallee(appPort, options);
    await new Promise<void>((resolve) => callee.#server.listen(options.port ?? 0, "127.0.0.1", resolve));
    return callee;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(socket: Socket): void {
    this.sockets.push(socket);
    socket.on("error", () => undefined);
    if (this.#options.instead !== undefined) {
      this.#options.instead(socket);
      return;
    }
    const { protocol = hopProtocol, callerId = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId } = this.#options;
    (socket as TLSSocket).alpnProtocol = protocol;
    this.inbound.serve(socket as TLSSocket, { callerId, certificate: Buffer.from("leaf"), sni: catalogSni });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inbound.drain(AbortSignal.abort());
    for (const pool of this.pools.pools()) pool.purge();
    for (const socket of this.sockets) socket.destroy();
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
