import type { EngineLook } from "#federation/model/engine-report.ts";
import type { BusConfig } from "#federation/runtime/engine-config.ts";
import type { NatsInspectionOptions } from "./nats-inspection.ts";

export interface BusLookOptions extends Pick<NatsInspectionOptions, "name" | "tls"> {
  readonly config: BusConfig;
}

/** What a server allows changes with its configuration alone, and it logs each look. */
const everyMs = 3_600_000;

/** How the bus that a plane's configuration names is looked at; the embedded hub has nothing that could be set wrong. */
export function busLooks({ config, name, tls }: BusLookOptions): readonly EngineLook[] {
  if (config.kind !== "nats") return [];
  const { servers } = config;
  return [
    {
      everyMs,
      look: async () => {
        const { inspectNats } = await import("./nats-inspection.ts");
        return [await inspectNats({ servers, name, tls })];
      },
    },
  ];
}
