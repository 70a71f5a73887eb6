import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { apiVersion } from "#federation/model/resource.ts";
import { planeName, type Topology } from "./topology.ts";

/** One YAML file of the federation's resources, and which planes it is for. */
export interface ResourceFile {
  readonly path: string;
  /** Comment at its head: what it says and how to change it. */
  readonly about: string;
  readonly target: { readonly kind: "global" } | { readonly kind: "clusters"; readonly clusters: readonly string[] };
  readonly resources: readonly object[];
}

/** Where the user finds and edits them. */
export function resourcesDir(dataDir: string): string {
  return join(dataDir, "resources");
}

/** Regions and clusters: what must stand before a plane can join. */
export function placeFiles(topology: Topology, dataDir: string): readonly ResourceFile[] {
  const { plan, gateways, processes } = topology;
  const listenOf = (cluster: string): Readonly<Record<string, unknown>> =>
    (processes.find(({ spec }) => spec.name === planeName(cluster))?.config["listen"] ?? {}) as Readonly<Record<string, unknown>>;
  return [
    {
      path: join(resourcesDir(dataDir), "10-regions.yaml"),
      about: "Where the federation is.",
      target: { kind: "global" },
      resources: plan.regions.map(({ name, displayName, latitude, longitude }) => resource("Region", { name }, { displayName, coordinates: { latitude, longitude } })),
    },
    {
      path: join(resourcesDir(dataDir), "20-clusters.yaml"),
      about: "Every cluster, whose it is, and by which addresses callers of a region reach its gateway.",
      target: { kind: "global" },
      resources: plan.clusters.map((cluster) =>
        resource(
          "Cluster",
          { name: cluster.name },
          {
            region: cluster.region,
            trustDomain: cluster.trustDomain,
            exportNamespaces: cluster.exportNamespaces,
            planeAddress: { host: listenOf(cluster.name)["address"], discoveryPort: listenOf(cluster.name)["discoveryPort"], joinPort: listenOf(cluster.name)["joinPort"] },
            gateways: gateways.get(cluster.name) ?? [],
          },
        ),
      ),
    },
  ];
}

/** Services, exports and policies: what can be said once the clusters have joined. */
export function serviceFiles(topology: Topology, dataDir: string): readonly ResourceFile[] {
  const { plan } = topology;
  const trustDomains = [...new Set(plan.clusters.map((cluster) => cluster.trustDomain))];
  const perDomain = trustDomains.map((trustDomain): ResourceFile => {
    const workloads = plan.workloads.filter((workload) => workload.trustDomain === trustDomain);
    return {
      path: join(resourcesDir(dataDir), `30-services-${trustDomain}.yaml`),
      about: `The services of ${trustDomain} and who may see them.`,
      target: { kind: "clusters", clusters: plan.clusters.filter((cluster) => cluster.trustDomain === trustDomain).map((cluster) => cluster.name) },
      resources: workloads.flatMap(({ namespace, service, port, consumers }) => [
        resource("Service", { name: service, namespace }, { ports: [{ name: "http", port, protocol: "http" }], serviceAccounts: [service] }),
        resource("ServiceExport", { name: service, namespace }, { consumers: [trustDomain, ...consumers].map((consumer) => ({ trustDomain: consumer })) }),
      ]),
    };
  });
  const policies: ResourceFile = {
    path: join(resourcesDir(dataDir), "50-policies.yaml"),
    about: "How requests are routed: own region first, then the nearest by measured round trip.",
    target: { kind: "global" },
    resources: plan.workloads.map(({ namespace, service, trustDomain }) =>
      resource("TrafficPolicy", { name: service, namespace }, { targetRef: { namespace, name: service, trustDomain }, locality: { mode: "nearest" } }),
    ),
  };
  return [...perDomain, policies];
}

/** The relationships; `authoritySha256` tells each trust domain's authority, known once its signer has joined. */
export function relationshipFile(topology: Topology, dataDir: string, options: { readonly authoritySha256: (trustDomain: string) => string; readonly nowMs: number }): ResourceFile {
  return {
    path: join(resourcesDir(dataDir), "40-relationships.yaml"),
    about: "Which trust domain may call what of which other one, as whom, and until when. Void until both sides approve.",
    target: { kind: "global" },
    resources: topology.plan.relationships.map(({ name, caller, callee, validDays }) =>
      resource(
        "Relationship",
        { name },
        {
          caller: { trustDomain: caller.trustDomain, authoritySha256: options.authoritySha256(caller.trustDomain), principals: caller.principals },
          callee: { trustDomain: callee.trustDomain, authoritySha256: options.authoritySha256(callee.trustDomain), services: callee.services },
          validUntil: new Date(options.nowMs + validDays * 86_400_000).toISOString(),
        },
      ),
    ),
  };
}

/** Writes the file unless it is there: what the user has edited is the user's. */
export function writeResourceFile(file: ResourceFile): void {
  if (existsSync(file.path)) return;
  mkdirSync(join(file.path, ".."), { recursive: true, mode: 0o700 });
  const where = file.target.kind === "global" ? "" : file.target.clusters.map((cluster) => ` --cluster ${cluster}`).join("");
  const head = `# ${file.about}\n# Edit it, then: atoll apply -f ${file.path}${where}\n`;
  writeFileSync(file.path, head + file.resources.map((one) => `---\n${stringify(one)}`).join(""));
}

function resource(kind: string, metadata: { readonly name: string; readonly namespace?: string }, spec: object): object {
  return { apiVersion, kind, metadata, spec };
}
