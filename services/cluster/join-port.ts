import { Server, status, type handleUnaryCall } from "@grpc/grpc-js";
import { openGrpcListener, type GrpcListener } from "#federation/identity/grpc-listener.ts";
import { JoinGuard } from "#federation/identity/join-guard.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { hostPort } from "#federation/runtime/dns/host-name.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { joinService, signerService } from "#federation/wire/grpc-services.ts";
import type { ClusterConfig } from "./config.ts";
import type { ClusterKeys } from "./credentials/cluster-keys.ts";
import type { signerHandlers } from "./credentials/enrolment.ts";
import { keyRenewal } from "./credentials/key-renewal.ts";
import type { PlaneMembership } from "./credentials/plane-membership.ts";
import type { workloadIssuer } from "./credentials/workload-issuer.ts";
import type { ClusterMetrics } from "./metrics.ts";

/** What a term of leadership adds to the port: whatever needs the store. */
export interface JoinHandlers {
  readonly issueFirst: ReturnType<typeof workloadIssuer>["issueFirst"];
  /** At the plane that holds its trust domain's keys. */
  readonly signer: ReturnType<typeof signerHandlers> | undefined;
}

export interface JoinPortOptions {
  readonly config: ClusterConfig;
  readonly membership: PlaneMembership;
  readonly planeSvid: Watched<X509Svid>;
  readonly keys: Watched<ClusterKeys>;
  readonly metrics: ClusterMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Connections of strangers at one time. */
const connectionsMax = 512;
/** All the proxies of a cluster may come at once when its plane is back; each takes a third of a millisecond. */
const renewalLimits = { attemptsBurst: 5_000, attemptsPerSecond: 1_000 };

/**
 * The port that takes callers without a certificate. It is open for as long as the process runs: who has an identity renews it here by
 * its key at any time, and everybody else is answered while a term lasts.
 */
export class JoinPort implements AsyncDisposable {
  readonly #planeSvid: Watched<X509Svid>;
  readonly #federationBundle: TrustBundle;
  readonly #material: WatchedValue<TlsMaterial>;
  #listener: GrpcListener | undefined;
  #handlers: JoinHandlers | undefined;

  private constructor({ planeSvid, membership }: JoinPortOptions) {
    this.#planeSvid = planeSvid;
    this.#federationBundle = membership.federationBundle;
    this.#material = new WatchedValue(createTlsMaterial(planeSvid.current, [membership.federationBundle]));
  }

  static async open(options: JoinPortOptions, signal: AbortSignal): Promise<JoinPort> {
    const port = new JoinPort(options);
    const { config, membership, logger } = options;
    const [presentedRoot = new Uint8Array()] = parseChainPem(membership.facts.federationRootPem);
    port.#listener = await openGrpcListener(
      {
        server: port.#serverOf(options),
        address: config.listen.address,
        port: config.listen.joinPort,
        material: port.#material,
        clients: "none",
        accept: () => false,
        connectionsMax,
        presentedRoot,
        onRefused: (reason) => logger.debug("A connection was refused.", { reason }),
      },
      signal,
    );
    return port;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Shows the plane's newest certificate until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const svid of this.#planeSvid.changes(signal)) this.#material.set(createTlsMaterial(svid, [this.#federationBundle]));
  }

  /** Answers joiners until it is disposed of. */
  serve(handlers: JoinHandlers): Disposable {
    this.#handlers = handlers;
    return {
      [Symbol.dispose]: () => {
        if (this.#handlers === handlers) this.#handlers = undefined;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
  }

  #serverOf({ config, membership, keys, metrics, clock, logger }: JoinPortOptions): Server {
    const { federation, cluster, region, trustDomain } = membership.facts;
    const { listen, advertiseAddress } = config;
    const server = new Server();
    server.addService(joinService, {
      issueFirst: whileServing(() => this.#handlers?.issueFirst),
      renewByKey: keyRenewal({
        self: { federation, cluster, region, trustDomain },
        keys,
        federationBundle: membership.federationBundle,
        discoveryAddresses: listen.discoveryPort === 0 ? [] : [hostPort(advertiseAddress, listen.discoveryPort)],
        lapseMsMax: config.lapsedSvidSeconds * 1_000,
        svidMs: config.svidSeconds * 1_000,
        guard: new JoinGuard(clock, renewalLimits),
        onIssued: (kind) => metrics.svidsIssued.inc({ kind }),
        onRefused: (reason) => metrics.joinRefused.inc({ reason }),
        clock,
        logger,
      }),
    });
    if (config.signer.kind === "own") {
      server.addService(signerService, {
        enrollCluster: whileServing(() => this.#handlers?.signer?.enrollCluster),
        renewCluster: whileServing(() => this.#handlers?.signer?.renewCluster),
      });
    }
    return server;
  }
}

function whileServing<Request, Response>(handler: () => handleUnaryCall<Request, Response> | undefined): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const present = handler();
    if (present === undefined) callback({ code: status.UNAVAILABLE, details: "this plane cannot answer now" });
    else present(call, callback);
  };
}
