import { formatSocketAddress } from "#federation/bus/socket-address.ts";
import { untilAborted } from "#federation/runtime/lifecycle.ts";
import { openSocketHub, type SocketHub } from "#federation/bus/socket-hub.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { writeReadyFile } from "#federation/runtime/process.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import type { BusHubConfig } from "./config.ts";
import { createBusHubMetrics } from "./metrics.ts";

/** Serves the hub until `signal` aborts; `<dataDir>/ready.json` says when it serves and on which ports. */
export async function runHub(config: BusHubConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  let hub: SocketHub | undefined;
  const metrics = createBusHubMetrics(() => hub?.clientCount ?? 0);
  hub = await openSocketHub({ address: config.listen.path, clock: systemClock, logger, observer: metrics.observer });
  await using _hub = hub;
  const { metricsPort } = config.listen;
  await using metricsServer = metricsPort === undefined ? undefined : await openMetricsServer(metrics.registry, config.listen.address, metricsPort);
  writeReadyFile(config.dataDir, {
    ...(hub.address.kind === "tcp" ? { bus: hub.address.port } : {}),
    ...(metricsServer === undefined ? {} : { metrics: metricsServer.port }),
  });
  logger.info("the bus hub serves", { address: formatSocketAddress(hub.address) });
  await untilAborted(signal);
}
