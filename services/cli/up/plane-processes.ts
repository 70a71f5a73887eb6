import { accessOf } from "./client-access.ts";
import { localAddress, type Layout } from "./layout.ts";
import { busSocketPath, planeName } from "./planned-process.ts";
import type { ClusterPlan, FederationPlan } from "./federation-plan.ts";

/** The embedded hub, where no NATS is. */
export function addHub(layout: Layout): void {
  layout.add({ name: "bus", kind: "bus", stage: "global", entry: ["services/bus/main.ts", "run"], config: { name: "bus", listen: { path: busSocketPath(layout.options.dataDir) } } });
}

/** The global plane. */
export function addGlobal(layout: Layout): void {
  const { engines } = layout.options;
  layout.add({
    name: "global",
    kind: "global",
    stage: "global",
    entry: ["services/global/main.ts", "run"],
    config: {
      federation: layout.plan.federation,
      listen: { address: localAddress, ...layout.take("global", "apiPort", "joinPort", "metricsPort") },
      advertiseAddress: localAddress,
      store: engines.store("global"),
      bus: engines.bus("global"),
      ...accessOf(layout.plan.federation, layout.plan.clients ?? []),
      ...backupsOf(layout.plan),
    },
  });
}

/** The plane of a cluster, with the tokens by which it joins. */
export function addPlane(layout: Layout, cluster: ClusterPlan): void {
  const { engines } = layout.options;
  const name = planeName(cluster.name);
  const joinFile = layout.path(name, "join-token");
  const signerFile = layout.path(name, "signer-token");
  const signer = layout.plan.clusters.find((other) => other.trustDomain === cluster.trustDomain && other.isSigner);
  if (signer === undefined) throw new Error(`${cluster.trustDomain} has no signer`);
  layout.add({
    name,
    kind: "plane",
    stage: cluster.isSigner ? "signers" : "planes",
    region: cluster.region,
    entry: ["services/cluster/main.ts", "run"],
    config: {
      cluster: cluster.name,
      listen: { address: localAddress, ...layout.take(name, "discoveryPort", "joinPort", "adminPort", "metricsPort") },
      advertiseAddress: localAddress,
      store: engines.store(cluster.name),
      bus: engines.bus(cluster.name),
      ...accessOf(layout.plan.federation, layout.plan.clients ?? []),
      ...backupsOf(layout.plan),
      ...(cluster.bundleEndpoint === undefined ? {} : { bundleEndpoint: { ...cluster.bundleEndpoint, port: layout.take(name, "bundlePort").bundlePort } }),
      globalJoinTokenFile: joinFile,
      ...(cluster.svidSeconds === undefined ? {} : { svidSeconds: cluster.svidSeconds }),
      signer: cluster.isSigner ? { kind: "own", trustDomain: cluster.trustDomain } : { kind: "remote", tokenFile: signerFile },
    },
    tokens: [
      { kind: "cluster", cluster: cluster.name, file: joinFile },
      ...(cluster.isSigner ? [] : [{ kind: "enrolment", cluster: cluster.name, signer: signer.name, file: signerFile } as const]),
    ],
  });
}

/** The part of every plane's configuration that has it back itself up; nothing where none does. Pure. */
export function backupsOf({ backups }: Pick<FederationPlan, "backups">): Pick<FederationPlan, "backups"> {
  return backups === undefined ? {} : { backups };
}
