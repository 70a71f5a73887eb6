import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { apiVersion } from "#federation/model/resource.ts";
import { instancesOf, trustDomainsOf, type FederationPlan, type WorkloadPlan } from "./federation-plan.ts";
import type { GatewayAddressPlan } from "./planned-process.ts";

/** One resource as it is written and applied. */
export interface PlannedResource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: object;
}

/** One YAML file of the federation's resources, and which planes it is for. */
export interface ResourceFile {
  /** Below the directory of resources. */
  readonly name: string;
  /** Comment at its head: what it says. */
  readonly about: string;
  readonly target: { readonly kind: "global" } | { readonly kind: "clusters"; readonly clusters: readonly string[] };
  readonly resources: readonly PlannedResource[];
}

/** Where planes and gateways of clusters are reached. */
export interface PlaceAddresses {
  planeAddress(cluster: string): { readonly host: string; readonly discoveryPort: number; readonly joinPort: number };
  gateways(cluster: string): readonly GatewayAddressPlan[];
}

/** Where the user finds and edits them. */
export function resourcesDir(dataDir: string): string {
  return join(dataDir, "resources");
}

/** Regions and clusters: what must stand before a plane can join. Pure. */
export function placeFiles(plan: FederationPlan, addresses: PlaceAddresses): readonly ResourceFile[] {
  return [
    {
      name: "10-regions.yaml",
      about: "Where the federation is.",
      target: { kind: "global" },
      resources: plan.regions.map(({ name, ...spec }) => resource("Region", { name }, spec)),
    },
    {
      name: "20-clusters.yaml",
      about: "Every cluster, whose it is, and by which addresses callers of a region reach its gateway.",
      target: { kind: "global" },
      resources: plan.clusters.map(({ name, region, trustDomain, exportNamespaces }) =>
        resource("Cluster", { name }, { region, trustDomain, exportNamespaces, planeAddress: addresses.planeAddress(name), gateways: addresses.gateways(name) }),
      ),
    },
  ];
}

/** Services, exports and policies: what can be said once the clusters have joined. Pure. */
export function serviceFiles(plan: FederationPlan): readonly ResourceFile[] {
  const files: ResourceFile[] = [];
  for (const trustDomain of trustDomainsOf(plan)) {
    const clusters = plan.clusters.filter((cluster) => cluster.trustDomain === trustDomain).map(({ name }) => name);
    const workloads = plan.workloads.filter((workload) => workload.trustDomain === trustDomain);
    const runsIn = (workload: WorkloadPlan, cluster: string): boolean => instancesOf(plan, workload).some((instance) => instance.cluster === cluster);
    const everywhere = workloads.filter((workload) => clusters.every((cluster) => runsIn(workload, cluster)));
    files.push(serviceFile(`30-services-${trustDomain}.yaml`, `The services of ${trustDomain} and who may see them.`, clusters, everywhere));
    for (const cluster of clusters) {
      const here = workloads.filter((workload) => !everywhere.includes(workload) && runsIn(workload, cluster));
      files.push(serviceFile(`35-services-${cluster}.yaml`, `The services that ${cluster} has and other clusters of ${trustDomain} have not.`, [cluster], here));
    }
  }
  files.push({
    name: "50-policies.yaml",
    about: "How requests are routed; own region first, then the nearest by measured round trip, where nothing else is said.",
    target: { kind: "global" },
    resources: plan.policies.map(({ namespace, name, spec }) => resource("TrafficPolicy", { name, namespace }, spec)),
  });
  return files.filter(({ resources }) => resources.length > 0);
}

function serviceFile(name: string, about: string, clusters: readonly string[], workloads: readonly WorkloadPlan[]): ResourceFile {
  return {
    name,
    about,
    target: { kind: "clusters", clusters },
    resources: workloads.flatMap(({ namespace, service, protocol = "http", port, trustDomain, isExported, consumers }) => [
      resource("Service", { name: service, namespace }, { ports: [{ name: protocol, port, protocol }], serviceAccounts: [service] }),
      ...(isExported ? [resource("ServiceExport", { name: service, namespace }, { consumers: [trustDomain, ...consumers].map((consumer) => ({ trustDomain: consumer })) })] : []),
    ]),
  };
}

/** Relationships; `authoritySha256` tells each trust domain's authority, known once its signer has joined. Pure. */
export function relationshipFile(
  relationships: FederationPlan["relationships"],
  options: { readonly authoritySha256: (trustDomain: string) => string; readonly nowMs: number },
): ResourceFile {
  return {
    name: "40-relationships.yaml",
    about: "Which trust domain may call what of which other one, as whom, and until when. Void until both sides approve.",
    target: { kind: "global" },
    resources: relationships.map(({ name, caller, callee, validDays }) =>
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

/** The words that apply a file that lies at `path`; `atoll` is how the command line is called there. Pure. */
export function applyCommand({ target }: ResourceFile, path: string, atoll = "atoll"): string {
  const where = target.kind === "global" ? "" : target.clusters.map((cluster) => ` --cluster ${cluster}`).join("");
  return `${atoll} apply -f ${path}${where}`;
}

/** The text of a file, with `howTo` below what it says of itself. Pure. */
export function resourceText(file: ResourceFile, howTo: string): string {
  return `# ${file.about}\n# ${howTo}\n${file.resources.map((one) => `---\n${stringify(one)}`).join("")}`;
}

/** Writes the file below `directory`; answers its path. */
export function writeResourceFile(directory: string, file: ResourceFile): string {
  const path = join(directory, file.name);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, resourceText(file, `Edit it, then: ${applyCommand(file, path)}`));
  return path;
}

function resource(kind: string, metadata: PlannedResource["metadata"], spec: object): PlannedResource {
  return { apiVersion, kind, metadata, spec };
}
