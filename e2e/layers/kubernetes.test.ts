import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readConfig, type Field } from "#federation/runtime/config.ts";
import { proxyConfigField } from "#proxy/config.ts";
import { etcdArguments } from "#services/cli/engines/etcd-args.ts";
import { etcdTenants } from "#services/cli/engines/etcd-users.ts";
import { readPlaneStores } from "#services/cli/engines/plane-stores.ts";
import { clusterConfigField } from "#services/cluster/config.ts";
import { globalConfigField } from "#services/global/config.ts";
import { kubernetesNatsText, overlays, overlaysPath } from "./kubernetes-nats.ts";

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly restartPolicy?: string;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
}
interface Probe {
  readonly exec?: { readonly command: readonly string[] };
  readonly httpGet?: { readonly port: string };
  readonly tcpSocket?: { readonly port: string };
}
interface ProjectedSource {
  readonly serviceAccountToken?: { readonly audience: string; readonly path: string };
  readonly configMap?: { readonly name: string; readonly items: readonly { readonly key: string; readonly path: string }[] };
}
interface PodSpec {
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly initContainers?: readonly Container[];
  readonly containers?: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly configMap?: { readonly name: string }; readonly secret?: { readonly secretName: string }; readonly projected?: { readonly sources: readonly ProjectedSource[] } }[];
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly type?: string;
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: Labels } & Labels;
    readonly ports?: readonly { readonly port: number; readonly targetPort?: string }[];
    readonly podSelector?: { readonly matchLabels?: Labels };
    readonly ingress?: readonly { readonly from?: readonly { readonly podSelector?: { readonly matchLabels?: Labels } }[]; readonly ports: readonly { readonly port: number }[] }[];
    readonly template?: PodTemplate;
    readonly suspend?: boolean;
    readonly jobTemplate?: { readonly spec: { readonly template: PodTemplate } };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}
interface PodTemplate {
  readonly metadata?: { readonly labels: Labels };
  readonly spec: PodSpec;
}
type Labels = Readonly<Record<string, unknown>>;

const root = fileURLToPath(new URL("../..", import.meta.url));
const kubernetes = join(root, "infra/kubernetes");
const text = (path: string): string => readFileSync(join(kubernetes, path), "utf8");
const manifestsIn = (folder: string): readonly Manifest[] =>
  readdirSync(join(kubernetes, folder))
    .filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml")
    .flatMap((name) => parseAllDocuments(text(`${folder}/${name}`)).map((document) => document.toJS() as Manifest));

const region = [...manifestsIn("base"), ...manifestsIn("global")];
const everything = [...region, ...manifestsIn("sidecar"), ...manifestsIn("example")];
const workloads = (of: readonly Manifest[]): readonly Manifest[] => of.filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet");
/** What is run by hand, until it is done. */
const jobs = region.filter(({ kind }) => kind === "CronJob");
const templateOf = ({ spec }: Manifest): PodTemplate | undefined => spec.template ?? spec.jobTemplate?.spec.template;
const podOf = (manifest: Manifest): PodSpec => templateOf(manifest)?.spec ?? {};
const containersOf = (manifest: Manifest): readonly Container[] => [...(podOf(manifest).initContainers ?? []), ...(podOf(manifest).containers ?? [])];
const mountOf = (container: Container | undefined, volume: string): string => container?.volumeMounts?.find(({ name }) => name === volume)?.mountPath ?? "";
const named = (kind: string, name: string): Manifest => {
  const found = region.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
};
/** Whether every label of `selector` is one of `labels`. */
const selects = (selector: Labels | undefined, labels: Labels | undefined): boolean => Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value);
/** As the pod's first container fills it in. */
const filledIn = (config: string): string => config.replaceAll("POD_IP", "10.9.8.7").replaceAll("POD_NAME", "some-pod-5d9f8c6b5-abcde");

describe("the manifests for Kubernetes", () => {
  it("were found", () => {
    expect(workloads(region).map(({ metadata }) => metadata.name).sort()).toEqual(["etcd", "gateway", "global", "nats", "plane"]);
    expect(workloads(everything).length).toBe(7);
    expect(jobs.map(({ metadata, spec }) => [metadata.name, spec.suspend])).toEqual([["secure-etcd", true]]);
  });

  it("let no container write to its root, be root, or get more than it has", () => {
    for (const manifest of [...workloads(everything), ...jobs]) {
      const pod = podOf(manifest).securityContext ?? {};
      for (const { name, securityContext = {} } of containersOf(manifest)) {
        const where = `${manifest.metadata.name}/${name}`;
        expect({ ...pod, ...securityContext }, where).toMatchObject({ runAsNonRoot: true, runAsUser: 10_001, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, seccompProfile: { type: "RuntimeDefault" } });
      }
    }
    for (const manifest of [...workloads(region), ...jobs]) expect(podOf(manifest).automountServiceAccountToken, manifest.metadata.name).toBe(false);
  });

  it("mount only volumes that they have", () => {
    for (const manifest of [...workloads(everything), ...jobs]) {
      const volumes = [...(podOf(manifest).volumes ?? []), ...(manifest.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata)].map(({ name }) => name);
      const mounted = containersOf(manifest).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
      expect([...new Set(mounted)].sort(), manifest.metadata.name).toEqual([...volumes].sort());
    }
  });

  it("start programs of the image with configurations that are mounted, and probe with what it holds", () => {
    const entrypoint = readFileSync(join(root, "infra/images/entrypoint"), "utf8");
    for (const container of workloads(everything).flatMap(containersOf)) {
      if (container.image === "atoll" && container.args !== undefined) {
        expect(entrypoint, container.name).toContain(`\n  ${container.args[0]}) exec`);
        expect(container.args.at(-1)).toBe("/etc/atoll/config.json");
        expect(container.volumeMounts?.map(({ mountPath }) => mountPath)).toEqual(expect.arrayContaining(["/etc/atoll", "/var/lib/atoll", "/var/cache/atoll"]));
      }
      const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe].filter((probe) => probe !== undefined);
      if (container.name.endsWith("config") || container.name === "keys") expect(probes).toEqual([]);
      else expect(probes.length, container.name).toBeGreaterThan(0);
      for (const { exec, httpGet, tcpSocket } of probes) {
        if (exec === undefined) expect(container.ports?.map(({ name }) => name)).toContain((httpGet ?? tcpSocket)?.port);
        else expect(existsSync(join(root, exec.command.at(-1)?.replace(/^\/opt\/atoll\//, "") ?? "")), exec.command.join(" ")).toBe(true);
      }
    }
  });

  it("lead services, disruption budgets and network policies to pods and ports that are there", () => {
    const pods = workloads(region);
    const labels = [...pods, ...jobs].map((pod) => templateOf(pod)?.metadata?.labels);
    for (const { kind, metadata, spec } of region) {
      if (kind === "Service") {
        const chosen = pods.filter(({ spec: { template } }) => selects(spec.selector, template?.metadata?.labels));
        expect(chosen.length, metadata.name).toBe(1);
        const ports = chosen.flatMap(containersOf).flatMap((container) => container.ports ?? []);
        for (const { port, targetPort } of spec.ports ?? []) expect(ports.some(({ name, containerPort }) => containerPort === port && (targetPort === undefined || targetPort === name)), `${metadata.name} ${port}`).toBe(true);
      }
      if (kind === "PodDisruptionBudget") expect(pods.filter(({ spec: { template } }) => selects(spec.selector?.matchLabels, template?.metadata?.labels)).length, metadata.name).toBe(1);
      if (kind === "NetworkPolicy") for (const { podSelector } of [spec, ...(spec.ingress ?? []).flatMap(({ from = [] }) => from)]) expect(labels.some((its) => selects(podSelector?.matchLabels, its)), `${metadata.name} ${JSON.stringify(podSelector)}`).toBe(true);
      if (kind === "NetworkPolicy" && spec.ingress !== undefined) {
        const chosen = pods.filter(({ spec: { template } }) => selects(spec.podSelector?.matchLabels, template?.metadata?.labels));
        const allowed = spec.ingress.flatMap(({ ports }) => ports.map(({ port }) => port));
        const listening = chosen.flatMap(containersOf).flatMap(({ ports = [] }) => ports.filter(({ name }) => name !== "health").map(({ containerPort }) => containerPort));
        const byNumber = (a: number, b: number): number => a - b;
        expect([...allowed].sort(byNumber), metadata.name).toEqual([...listening].sort(byNumber));
      }
    }
    for (const kind of ["PodDisruptionBudget", "NetworkPolicy"]) for (const { metadata } of pods.filter((pod) => pod.metadata.name !== "plane" || kind === "NetworkPolicy")) named(kind, metadata.name);
    expect(named("Service", "gateway").spec.type).toBe("LoadBalancer");
  });

  it("run etcd as the machines do, with health beside, and three members that all know each other", () => {
    const { spec } = named("StatefulSet", "etcd");
    const [etcd] = podOf(named("StatefulSet", "etcd")).containers ?? [];
    const flag = (argument: string): string => argument.split("=")[0] ?? "";
    const peer = { name: "a", address: "10.0.0.1", port: 2380 };
    const known = etcdArguments({ name: "a", dataDir: "/d", address: "10.0.0.1", clientPort: 2379, peerPort: 2380, tls: { certificate: "/c", privateKey: "/k", ca: "/a" }, cluster: { token: "t", commonName: "c", members: [peer] } });
    expect(etcd?.args?.map(flag).sort()).toEqual([...known.map(flag), "--listen-metrics-urls"].sort());
    const members = Array.from({ length: spec.replicas ?? 0 }, (_, index) => `etcd-${index}`);
    expect(etcd?.args).toContain(`--initial-cluster=${members.map((name) => `${name}=https://${name}.etcd.atoll-system.svc:2380`).join(",")}`);
    expect(members.length).toBe(3);
  });
});

describe("the overlays of the regions", () => {
  it("are those of the three regions", () => {
    expect(readdirSync(join(root, overlaysPath)).sort()).toEqual(overlays.map((overlay) => overlay.region).sort());
  });

  it.each(overlays)("configure $region with fields that exist, engines that stand there, and names for everything that the base mounts", ({ region: name, cluster }) => {
    const overlay = (file: string): string => text(`overlays/${name}/${file}`);
    const read = <T>(file: string, field: Field<T>): T => readConfig(filledIn(overlay(file)), file, field);
    const endpoints = ["etcd-0", "etcd-1", "etcd-2"].map((member) => `https://${member}.etcd.atoll-system.svc:2379`);
    const plane = read("plane.json", clusterConfigField);
    expect(plane).toMatchObject({ cluster, store: { endpoints }, bus: { kind: "nats" } });
    expect(plane.bus.kind === "nats" && plane.bus.servers.slice(0, 3)).toEqual(["nats-0", "nats-1", "nats-2"].map((server) => `tls://${server}.nats.atoll-system.svc:4222`));
    expect(read("gateway.json", proxyConfigField)).toMatchObject({ mode: "gateway", region: name, ports: { gateway: 15_443, admin: 15_000, metrics: 15_090 } });
    const isGlobal = existsSync(join(kubernetes, "overlays", name, "global.json"));
    if (isGlobal) expect(read("global.json", globalConfigField)).toMatchObject({ store: { endpoints } });
    expect(overlay("nats.conf"), "node e2e/layers/write-infra.ts").toBe(kubernetesNatsText(name));
    const kustomization = parse(overlay("kustomization.yaml")) as { readonly resources: readonly string[]; readonly configMapGenerator: readonly { readonly name: string; readonly files?: readonly string[] }[]; readonly images: readonly { readonly name: string }[] };
    expect(kustomization.resources).toEqual(isGlobal ? ["../../base", "../../global"] : ["../../base"]);
    const used = workloads(isGlobal ? region : manifestsIn("base"));
    const maps = used.flatMap((manifest) => (podOf(manifest).volumes ?? []).flatMap(({ configMap }) => configMap?.name ?? []));
    // The cluster's own keys are no file of anybody's.
    expect(["cluster-keys", ...kustomization.configMapGenerator.map((map) => map.name)].sort()).toEqual(["region", ...maps].sort());
    for (const file of kustomization.configMapGenerator.flatMap(({ files = [] }) => files)) expect(existsSync(join(kubernetes, "overlays", name, file.split("=").at(-1) ?? "")), file).toBe(true);
    expect(kustomization.images.map((image) => image.name).sort()).toEqual([...new Set(used.flatMap(containersOf).map(({ image }) => image))].sort());
  });

  it.each(overlays)("tell the etcd of $region all planes that have their stores in it", ({ region: name, cluster }) => {
    const [job] = jobs.flatMap(containersOf);
    expect(job?.args).toEqual(["cli", "secure-engines", "--configs", mountOf(job, "planes"), "--keys", dirname(mountOf(job, "administrator"))]);
    // As kustomize puts them together: what the base has, and what the overlay's patch adds.
    const { patches = [] } = parse(text(`overlays/${name}/kustomization.yaml`)) as { readonly patches?: readonly { readonly target: { readonly kind: string; readonly name: string }; readonly patch: string }[] };
    const added = patches.filter(({ target }) => target.kind === "CronJob").flatMap(({ patch }) => parse(patch) as readonly { readonly op: string; readonly path: string; readonly value: ProjectedSource }[]);
    for (const { op, path } of added) expect([op, path]).toEqual(["add", "/spec/jobTemplate/spec/template/spec/volumes/0/projected/sources/-"]);
    const [planes] = jobs.flatMap((one) => podOf(one).volumes ?? []);
    const maps = [...(planes?.projected?.sources ?? []), ...added.map(({ value }) => value)].flatMap(({ configMap }) => configMap ?? []);
    expect([planes?.name, ...maps.flatMap(({ items }) => items.map(({ key }) => key))]).toEqual(["planes", ...maps.map(() => "config.json")]);
    const directory = mkdtempSync(join(tmpdir(), "atoll-planes-"));
    try {
      for (const { name: map, items } of maps) for (const { path } of items) writeFileSync(join(directory, path), text(`overlays/${name}/${map}.json`));
      const isGlobal = existsSync(join(kubernetes, "overlays", name, "global.json"));
      expect(etcdTenants(readPlaneStores(directory))).toEqual([{ endpoints: ["etcd-0", "etcd-1", "etcd-2"].map((member) => `https://${member}.etcd.atoll-system.svc:2379`), planes: isGlobal ? ["global", cluster] : [cluster] }]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("have one global plane and one signer among them", () => {
    const configs = overlays.map(({ region: name }) => readConfig(text(`overlays/${name}/plane.json`), name, clusterConfigField));
    expect(configs.filter(({ signer }) => signer.kind === "own").length).toBe(1);
    expect(overlays.filter(({ region: name }) => existsSync(join(kubernetes, "overlays", name, "global.json"))).length).toBe(1);
  });

  it("have a sidecar's configuration beside the example, and every Secret in the instructions", () => {
    expect(readConfig(filledIn(text("example/catalog-sidecar.json")), "sidecar", proxyConfigField)).toMatchObject({ mode: "sidecar", address: "10.9.8.7" });
    const readme = text("README.md");
    const secrets = [...workloads(region), ...jobs].flatMap((manifest) => (podOf(manifest).volumes ?? []).flatMap(({ secret }) => secret?.secretName ?? []));
    expect(secrets.length).toBe(5);
    for (const secret of [...secrets, "cluster-keys", "atoll-sidecar"]) expect(readme).toContain(secret);
  });

  it("believe the tokens that pods are given, for the plane that pods join at, and only a gateway's as a gateway's", () => {
    const shown = workloads(everything).flatMap((manifest) => {
      const volumes = podOf(manifest).volumes ?? [];
      return volumes.flatMap(({ name, projected }) =>
        (projected?.sources ?? []).flatMap(({ serviceAccountToken }) => {
          if (serviceAccountToken === undefined) return [];
          const mount = containersOf(manifest).flatMap(({ volumeMounts = [] }) => volumeMounts).find((one) => one.name === name);
          return { audience: serviceAccountToken.audience, file: `${mount?.mountPath}/${serviceAccountToken.path}` };
        }),
      );
    });
    expect(shown.length).toBe(2);
    for (const { region: name } of overlays) {
      const { attestation } = readConfig(text(`overlays/${name}/plane.json`), name, clusterConfigField);
      expect(Object.values(attestation.sources)).toMatchObject(shown.slice(0, 1).map(({ audience }) => ({ kind: "kubernetes", audience, keysFile: "/etc/atoll-keys/jwks.json" })));
      expect(attestation.rules.filter(({ gives }) => gives.kind === "gateway")).toMatchObject([{ facts: { namespace: "atoll-system", serviceAccount: podOf(named("Deployment", "gateway")).serviceAccountName } }]);
    }
    for (const path of [...overlays.map(({ region: name }) => `overlays/${name}/gateway.json`), "example/catalog-sidecar.json"]) {
      const { joinAttest } = readConfig(filledIn(text(path)), path, proxyConfigField);
      expect(joinAttest, path).toMatchObject({ addresses: ["plane.atoll-system.svc:7411"], evidence: { kind: "kubernetes", tokenFile: shown[0]?.file } });
    }
    expect(new Set(shown.map(({ audience, file }) => `${audience} ${file}`)).size).toBe(1);
  });
});

describe("the script that tells a region's etcd its planes", () => {
  const place = mkdtempSync(join(tmpdir(), "atoll-secure-etcd-"));
  afterAll(() => rmSync(place, { recursive: true }));

  /** What it asks of kubectl, by programs that write it down; `broken` is the word of kubectl that fails. */
  function run(broken = "none"): { readonly status: number | null; readonly asked: readonly string[] } {
    const log = join(place, "log");
    writeFileSync(log, "");
    for (const name of ["kubectl", "node"]) writeFileSync(join(place, name), `echo "${name} $*" >>${log}\ncase " $* " in *" ${broken} "*) exit 1 ;; esac\n`);
    const { status } = spawnSync("sh", [join(kubernetes, "secure-etcd.sh"), "keys"], { env: { ...process.env, KUBECTL: `sh ${join(place, "kubectl")}`, NODE: `sh ${join(place, "node")}` } });
    return { status, asked: readFileSync(log, "utf8").trim().split("\n").map((line) => line.replace(/ (--\S+|\/\S+)/g, "").replace("kubectl -n atoll-system ", "")) };
  }
  const leaves = ["delete secret etcd-administrator", "delete job secure-etcd"];

  it("has the Job run with a Secret that is there only meanwhile", () => {
    expect(run()).toEqual({ status: 0, asked: ["node init keys global", ...leaves, "create secret generic etcd-administrator", "create job secure-etcd", "wait job/secure-etcd", "logs job/secure-etcd", ...leaves] });
  });

  it("leaves no Secret of a Job that fails, and says so", () => {
    for (const broken of ["create", "wait", "logs"]) {
      const { status, asked } = run(broken);
      expect([status, ...asked.slice(-2)], broken).toEqual([1, ...leaves]);
    }
  });
});
