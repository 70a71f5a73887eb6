import type { EngineLook } from "#federation/model/engine-report.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { StoreConfig } from "#federation/runtime/engine-config.ts";
import type { EtcdInspectionOptions } from "./etcd-inspection.ts";

export interface StoreLookOptions extends Pick<EtcdInspectionOptions, "tls" | "keyPrefix"> {
  readonly config: StoreConfig;
  readonly clock: Clock;
}

const everyMs = 30_000;

/** How the store that a plane's configuration names is looked at; an embedded one has nothing that could be set wrong. */
export function storeLooks({ config, tls, keyPrefix, clock }: StoreLookOptions): readonly EngineLook[] {
  if (config.kind !== "etcd") return [];
  const { endpoints } = config;
  const opened = import("./etcd-inspection.ts").then(({ EtcdInspection }) => new EtcdInspection({ endpoints, tls, keyPrefix, clock }));
  return [{ everyMs, look: async () => await (await opened).look() }];
}
