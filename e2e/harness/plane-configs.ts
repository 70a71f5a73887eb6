import type { AccessConfig } from "#federation/admin-api/access-config.ts";
import type { ClusterConfig } from "#services/cluster/config.ts";
import type { GlobalConfig } from "#services/global/config.ts";

const address = "127.0.0.1";

/** What planes in one process have in common: any ports, stores and a bus of the test's own, nobody who joins by evidence. */
const common = {
  advertiseAddress: address,
  store: { kind: "sqlite" },
  bus: { kind: "socket", path: "unused" },
  attestation: { sources: {}, rules: [] },
  logLevel: "info",
} as const;

/** The configuration of a global plane in the test's process. */
export function globalConfig(federation: string, dataDir: string, access: AccessConfig = { bindings: [] }): GlobalConfig {
  return { ...common, federation, dataDir, listen: { address, apiPort: 0, joinPort: 0, metricsPort: 0 }, access };
}

/** The configuration of a cluster's plane in the test's process. */
export function clusterConfig(own: Pick<ClusterConfig, "cluster" | "dataDir" | "signer">, access: AccessConfig = { bindings: [] }): ClusterConfig {
  return { ...common, ...own, listen: { address, discoveryPort: 0, joinPort: 0, adminPort: 0, metricsPort: 0 }, access, globalJoinTokenFile: "", svidSeconds: 3_600, lapsedSvidSeconds: 3_600 };
}
