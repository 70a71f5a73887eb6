import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import type { StoreConfig } from "#federation/runtime/engine-config.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { Store } from "./store.ts";

export interface ConfiguredStoreOptions {
  readonly config: StoreConfig;
  /** Where a SQLite store has its file. */
  readonly dataDir: string;
  /** Before every key in etcd, so that planes may share one: `/atoll/<plane>`. */
  readonly keyPrefix: string;
  /** Asked for each connection to etcd. */
  readonly tls: () => { readonly caPem: string; readonly certificatePem: string; readonly privateKeyPem: string };
  /** Counts writes that were refused because too many waited. */
  readonly refused?: { inc(): void };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Opens the store that a plane's configuration names. Only its adapter is loaded. */
export async function openConfiguredStore(options: ConfiguredStoreOptions): Promise<Store> {
  const { config, clock, random, logger } = options;
  if (config.kind === "etcd") {
    const { openEtcdStore } = await import("./etcd-store.ts");
    return openEtcdStore({ endpoints: config.endpoints, tls: options.tls, keyPrefix: options.keyPrefix, ...(options.refused === undefined ? {} : { refused: options.refused }), clock, random, logger });
  }
  const { openSqliteStore } = await import("./sqlite-store.ts");
  return await openSqliteStore({ path: join(options.dataDir, "store.sqlite"), clock, logger });
}
