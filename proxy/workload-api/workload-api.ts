import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Registry } from "prom-client";
import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { workloadRequestBytesMax } from "#federation/wire/spiffe-workload.ts";
import { JwtSvids, type IssueJwt } from "./jwt-svids.ts";
import { addWorkloadMetrics } from "./workload-metrics.ts";
import { WorkloadService } from "./workload-service.ts";
import { openWorkloadSocket, type SocketMode } from "./workload-socket.ts";
import { createWorkloadStats } from "./workload-stats.ts";
import { WorkloadState, type WorkloadSources } from "./workload-state.ts";

export interface WorkloadApiOptions extends WorkloadSources {
  /** Absolute. */
  readonly path: string;
  readonly mode: SocketMode;
  /** True when the plane has refused this workload an identity for good. */
  readonly isIdentityRefused: () => boolean;
  readonly issueJwt: IssueJwt;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly streamsMax?: number;
}

/** A served Workload API. Disposing ends its streams and removes the socket. */
export interface WorkloadApi extends AsyncDisposable {
  addMetrics(registry: Registry): void;
}

/** Streams at a time. An application has one for each of its processes, so this is many of them, and bounds one that forgets to close. */
const streamsMaxDefault = 100;
const connectionsMax = 100;
/** On one connection; a stream whose request never ends is not counted among those above. */
const connectionStreamsMax = 2 * streamsMaxDefault;
/** How long connections may take to go at the end. */
const drainMs = 1_000;

/**
 * Serves the SPIFFE Workload API on a unix socket: whoever may open it is the workload. It may be opened before there
 * is an identity; until then callers are told to come again.
 * @throws {ATOLL_SOCKET_UNSAFE | ATOLL_SOCKET_TAKEN | ATOLL_CONFIG_INVALID}
 */
export async function openWorkloadApi(options: WorkloadApiOptions): Promise<WorkloadApi> {
  const { path, mode, issueJwt, clock, random, logger, isIdentityRefused, streamsMax = streamsMaxDefault } = options;
  const ending = new AbortController();
  const stats = createWorkloadStats();
  const state = new WorkloadState(options);
  const tokens = new JwtSvids({ issue: issueJwt, clock, random, signal: ending.signal, onKept: (what) => stats.tokens[what]++ });
  const service = new WorkloadService({ answers: state, tokens, isIdentityRefused, streamsMax, stats, clock, logger, signal: ending.signal });
  const server = new Server({ "grpc.max_receive_message_length": workloadRequestBytesMax, "grpc.max_concurrent_streams": connectionStreamsMax });
  service.addTo(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const socket = await openWorkloadSocket({ path, mode, connectionsMax, accept: (connection) => injector.injectConnection(connection), onDropped: () => stats.connectionsDropped++ });
  logger.info("The Workload API is served.", { path, socketMode: mode });
  const following = state.run(ending.signal);
  let ended: Promise<void> | undefined;
  return {
    addMetrics: (registry) => addWorkloadMetrics(registry, stats, () => state.current?.domainsLeftOut ?? 0),
    [Symbol.asyncDispose]: () =>
      (ended ??= (async () => {
        ending.abort();
        await Promise.all([following, service.ended()]);
        using bound = deadlineSignal(clock, drainMs, new AbortController().signal);
        const drained = socket.drain(bound.signal);
        injector.drain(drainMs);
        await drained;
        injector.destroy();
        server.forceShutdown();
      })()),
  };
}
