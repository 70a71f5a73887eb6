import { parseSocketAddress, type SocketAddress } from "#federation/bus/socket-address.ts";
import { addressField, choiceField, defaultField, objectField, optionalField, parsedField, portField, stringField, type Field } from "#federation/runtime/config.ts";
import type { LogLevel } from "#federation/telemetry/pino-logger.ts";

/** What the hub process is started with. */
export interface BusHubConfig {
  readonly name: string;
  /** Where `ready.json` goes. */
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  readonly listen: {
    /** A Unix socket's path, or `tcp://<loopback>:<port>` where a path is too long or cannot be had. */
    readonly path: SocketAddress;
    readonly address: string;
    /** Prometheus metrics; left out means none. */
    readonly metricsPort?: number;
  };
}

/** Reads the hub's configuration file. */
export const busHubConfigField: Field<BusHubConfig> = objectField({
  name: defaultField(stringField({ max: 63 }), "bus"),
  dataDir: stringField(),
  logLevel: defaultField(choiceField(["debug", "info", "warn", "error"]), "info"),
  listen: objectField({
    path: parsedField(stringField(), parseSocketAddress),
    address: defaultField(addressField, "127.0.0.1"),
    metricsPort: optionalField(portField),
  }),
});
