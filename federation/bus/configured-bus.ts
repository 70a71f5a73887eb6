import type { Clock } from "#federation/runtime/clock.ts";
import type { BusConfig } from "#federation/runtime/engine-config.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { BusObserver } from "./bus-observer.ts";
import type { Bus } from "./bus.ts";

export interface ConfiguredBusOptions {
  readonly config: BusConfig;
  /** Shown by NATS, and the private inbox of this plane: `_INBOX_<name>`. */
  readonly name: string;
  /** Asked for each connection to NATS. */
  readonly tls: () => { readonly caPem: string; readonly certificatePem: string; readonly privateKeyPem: string };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer: BusObserver;
}

/** Opens the bus that a plane's configuration names. Only its adapter is loaded; it connects by and by, and again for ever. */
export async function openConfiguredBus(options: ConfiguredBusOptions): Promise<Bus> {
  const { config, name, tls, clock, random, logger, observer } = options;
  if (config.kind === "nats") {
    const { openNatsBus } = await import("./nats-bus.ts");
    return openNatsBus({ servers: config.servers, name, tls, inboxPrefix: `_INBOX_${name}`, clock, random, logger, observer });
  }
  const { openSocketBus } = await import("./socket-bus.ts");
  const { parseSocketAddress } = await import("./socket-address.ts");
  return openSocketBus({ address: parseSocketAddress(config.path), clock, random, logger, observer });
}
