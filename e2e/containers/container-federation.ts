import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Wait, type ContainerRuntimeClient, type StartedTestContainer } from "testcontainers";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseYaml } from "#federation/model/parse/parse-yaml.ts";
import { parseClusterId } from "#federation/model/names.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { openUsersClient, type UsersClient } from "#services/cli/demo/users-client.ts";
import { readDirectory } from "#services/cli/plane-directory.ts";
import { Planes } from "#services/cli/planes.ts";
import { applyResources } from "#services/cli/up/apply.ts";
import { eventually } from "../harness/eventually.ts";
import { serversImage } from "./images.ts";
import * as layout from "./layout.ts";
import { openTestNetwork } from "./networks.ts";
import { PlacedContainer, type Attachment } from "./placed-container.ts";

const never = new AbortController().signal;
const startWithinMs = 120_000;
const second = 1_000;
/** Longer than anything here takes to drain. */
const stopWithinMs = 30 * second;
/** Low enough for two busy processors, high enough that each second of a fault meets requests. */
const usersPerSecond = 20;
const userDeadlineMs = 8_000;
/** Where the sidecar of a pod listens for its application. */
const outboundPort = 15_001;

interface AtollPart {
  readonly program: readonly string[];
  readonly config: object;
  readonly tokens?: Readonly<Record<string, JoinPurpose & { readonly from: string }>>;
  readonly attachments: readonly Attachment[];
  /** The container whose network it shares, as containers of a pod do. */
  readonly podOf?: string;
}

/** What came back to a caller inside a pod. */
export interface PodAnswer {
  readonly status: number;
  readonly region: string | undefined;
  readonly body: string;
}

/** Three regions in containers: real engines, planes, gateways, sidecars beside applications that nobody here wrote. Disposing removes everything. */
export class ContainerFederation implements AsyncDisposable {
  readonly networks: layout.Networks;
  readonly #client: ContainerRuntimeClient;
  readonly #id: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "atoll-c-"));
  readonly #containers = new Map<string, StartedTestContainer>();
  readonly #parts = new Map<string, AtollPart>();
  readonly #volumes = new Set<string>();
  #planes: Planes | undefined;
  #users: UsersClient | undefined;

  private constructor(client: ContainerRuntimeClient, id: string, networks: layout.Networks) {
    this.#client = client;
    this.#id = id;
    this.networks = networks;
  }

  /** Brings all of it up on `image`, with users who call. On failure nothing is left. */
  static async start(client: ContainerRuntimeClient, image: string): Promise<ContainerFederation> {
    const id = `atoll-${process.pid}-${String(Math.trunc(systemClock.nowMs() / second) % 100_000)}`;
    const networks: Record<string, Awaited<ReturnType<typeof openTestNetwork>>> = {};
    for (const name of [...layout.regions, "wan"]) networks[name] = await openTestNetwork(client, `${id}-${name}`);
    const federation = new ContainerFederation(client, id, networks as unknown as layout.Networks);
    try {
      await federation.#bringUp(image);
      return federation;
    } catch (error) {
      console.error(await federation.logs());
      await federation[Symbol.asyncDispose]();
      throw error;
    }
  }

  get planes(): Planes {
    if (this.#planes === undefined) throw new Error("the planes are not up yet");
    return this.#planes;
  }

  get users(): UsersClient {
    if (this.#users === undefined) throw new Error("there are no users yet");
    return this.#users;
  }

  /** Names of the containers that run programs of Atoll, in the order in which they were started. */
  get atollNames(): readonly string[] {
    return [...this.#parts.keys()];
  }

  containerId(name: string): string {
    return this.#container(name).getId();
  }

  async kill(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#docker(name).kill()));
  }

  /** Starts what was killed, on its own state, and waits until it says that it is well. */
  async startAgain(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#docker(name).start()));
    for (const name of names) await eventually(`${name} is well again`, () => this.isHealthy(name), startWithinMs);
  }

  pause(name: string): Promise<void> {
    return this.#docker(name).pause();
  }

  unpause(name: string): Promise<void> {
    return this.#docker(name).unpause();
  }

  async isHealthy(name: string): Promise<boolean> {
    return (await this.#docker(name).inspect()).State.Health?.Status === "healthy";
  }

  /** The image that a container runs. */
  async imageOf(name: string): Promise<string> {
    return (await this.#docker(name).inspect()).Config.Image;
  }

  /** Ends one program in an orderly way and starts `image` on its state, at its addresses. */
  async replace(name: string, image: string): Promise<void> {
    await this.#container(name).stop({ timeout: stopWithinMs, remove: true, removeVolumes: false });
    await this.#startAtoll(name, image);
  }

  /** One request from the users' pod through their sidecar. */
  async callFromUsers(host: string, path: string): Promise<PodAnswer> {
    const script = [
      "import http.client, json, sys",
      `connection = http.client.HTTPConnection("127.0.0.1", ${outboundPort}, timeout=10)`,
      'connection.request("GET", sys.argv[2], headers={"Host": sys.argv[1]})',
      "answer = connection.getresponse()",
      'print(json.dumps({"status": answer.status, "region": answer.getheader("x-region"), "body": answer.read().decode()}))',
    ].join("\n");
    const { output, exitCode } = await this.#container("users-pod").exec(["python3", "-c", script, host, path]);
    if (exitCode !== 0) throw new Error(output);
    const { status, region, body } = JSON.parse(output) as { readonly status: number; readonly region: string | null; readonly body: string };
    return { status, region: region ?? undefined, body };
  }

  /** The last words of every container, for whoever looks into a failure. */
  async logs(): Promise<string> {
    const parts: string[] = [];
    for (const [name, container] of this.#containers) {
      const text = await this.#client.container.dockerode.getContainer(container.getId()).logs({ stdout: true, stderr: true, tail: 12 });
      parts.push(`== ${name}\n${text.toString("latin1").replace(/[^\x20-\x7e\n]/g, "")}`);
    }
    return parts.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#users?.[Symbol.asyncDispose]();
    this.#planes?.[Symbol.dispose]();
    // What shares a pod's network goes before the pod.
    for (const container of [...this.#containers.values()].reverse()) {
      await this.#client.container.dockerode.getContainer(container.getId()).remove({ force: true, v: true });
    }
    for (const volume of this.#volumes) await this.#client.container.dockerode.getVolume(volume).remove({ force: true });
    for (const network of Object.values(this.networks)) await network[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #bringUp(image: string): Promise<void> {
    const { networks } = this;
    await this.#initFederation(image);
    await Promise.all(layout.regions.flatMap((region) => [this.#startEtcd(region), this.#startNats(region)]));
    await this.#addAtoll("global", image, { program: ["global", "run"], config: layout.globalConfig(networks), attachments: layout.bothAttachments(networks, "eu-west", "global") });
    await this.#openPlanes();
    const resources = layout.resourceTexts(networks);
    await this.#apply(resources.global, []);
    for (const region of layout.regions) {
      const cluster = parseClusterId(layout.clusterOf[region]);
      const tokens: Record<string, JoinPurpose & { readonly from: string }> = { "join-token": { kind: "cluster", cluster, from: "global" } };
      if (region !== "eu-west") tokens["signer-token"] = { kind: "enrolment", cluster, from: layout.clusterOf["eu-west"] };
      await this.#addAtoll(`${region}-plane`, image, { program: ["cluster", "run"], config: layout.planeConfig(networks, region), tokens, attachments: layout.bothAttachments(networks, region, "plane") });
      await eventually(`${cluster} answers`, () => this.planes.cluster(cluster).call(clusterRoutes.status, {}, never), startWithinMs);
    }
    for (const region of ["us-east", "ap-south"] as const) {
      const from = layout.clusterOf[region];
      await this.#apply(resources.ofRegion(region), [from]);
      await this.#startApps(region);
      await Promise.all([
        this.#addAtoll(`${region}-gateway`, image, { program: ["proxy"], config: layout.gatewayConfig(networks, region), tokens: { "join-token": { kind: "gateway", from } }, attachments: layout.bothAttachments(networks, region, "gateway") }),
        this.#addAtoll(`${region}-sidecar`, image, { program: ["proxy"], config: layout.appSidecarConfig(networks, region), tokens: { "join-token": { kind: "workload", namespace: "web", serviceAccount: "apps", from } }, attachments: [], podOf: `${region}-nginx` }),
      ]);
    }
    await this.#startUsers(image);
  }

  /** Root and engines' certificates, made by the command that an operator runs, in a container of its own. */
  async #initFederation(image: string): Promise<void> {
    const engines = layout.regions.flatMap((region) => ["--engine", `${region}:${layout.localAddress(this.networks, region, "etcd")},${layout.wanAddress(this.networks, region, "nats")}`]);
    const keys = await this.#keep("keys", this.#base("keys", image, []).withEntrypoint(["sleep"]).withCommand(["infinity"]).withBindMounts([{ source: this.#volume("global"), target: "/var/lib/atoll" }]));
    const init = ["/opt/atoll/infra/images/entrypoint", "global", "init", "--data", "/var/lib/atoll", "--federation", layout.federation, ...engines];
    const { exitCode, output } = await keys.exec(init);
    if (exitCode !== 0) throw new Error(`init: ${output}`);
    for (const region of layout.regions) {
      for (const engine of ["etcd", "nats"]) {
        for (const [file, source] of [["engine.pem", `${region}.pem`], ["engine.key", `${region}.key`], ["ca.pem", "ca.pem"]] as const) {
          this.#write(`${region}-${engine}`, file, await this.#read("keys", `/var/lib/atoll/engines/${source}`));
        }
      }
    }
  }

  async #openPlanes(): Promise<void> {
    const planes = Object.fromEntries(layout.regions.map((region) => [layout.clusterOf[region], `${layout.wanAddress(this.networks, region, "plane")}:7420`]));
    this.#write("admin", "context.json", JSON.stringify({ admin: "admin-context.json", planes, signers: { [layout.trustDomain]: layout.clusterOf["eu-west"] } }));
    this.#write("admin", "admin-context.json", await eventually("the admin context is written", () => this.#read("global", "/var/lib/atoll/admin-context.json"), startWithinMs));
    this.#planes = new Planes(readDirectory(join(this.#directory, "admin", "context.json")), systemClock);
    await eventually("the global plane answers", () => this.planes.global().call(globalRoutes.status, {}, never), startWithinMs);
  }

  async #apply(text: string, clusters: readonly string[]): Promise<void> {
    const outcome = parseYaml(text, "resources.yaml");
    if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
    await eventually("resources are applied", () => applyResources(this.planes, outcome.resources, clusters, never), startWithinMs);
  }

  async #startEtcd(region: layout.Region): Promise<void> {
    const name = `${region}-etcd`;
    const container = this.#base(name, serversImage, [{ network: this.networks[region], address: layout.localAddress(this.networks, region, "etcd") }]);
    await this.#keep(name, this.#configured(container, name).withTmpFs({ "/state": "rw,mode=1777" }).withUser("10001").withCommand([...layout.etcdCommand(this.networks, region)]).withWaitStrategy(Wait.forLogMessage(/serving client traffic securely/)));
  }

  async #startNats(region: layout.Region): Promise<void> {
    const name = `${region}-nats`;
    this.#write(name, "nats.conf", layout.natsText(this.networks, region));
    const container = this.#base(name, serversImage, [{ network: this.networks.wan, address: layout.wanAddress(this.networks, region, "nats") }]);
    await this.#keep(name, this.#configured(container, name).withUser("10001").withCommand(["/usr/sbin/nats-server", "-c", "/etc/atoll/nats.conf"]).withWaitStrategy(Wait.forLogMessage(/Server is ready/)));
  }

  /** nginx is the pod; httpbin lives in it too where it runs. */
  async #startApps(region: layout.Region): Promise<void> {
    const pod = `${region}-nginx`;
    this.#write(pod, "nginx.conf", layout.nginxText(region));
    const nginx = this.#base(pod, serversImage, [{ network: this.networks[region], address: layout.localAddress(this.networks, region, "app") }]);
    await this.#keep(pod, this.#configured(nginx, pod).withUser("10001").withTmpFs({ "/tmp": "rw,mode=1777" }).withCommand(["/usr/sbin/nginx", "-c", "/etc/atoll/nginx.conf"]));
    if (region !== "ap-south") return;
    const httpbin = this.#inPod(this.#base(`${region}-httpbin`, serversImage, []), pod);
    await this.#keep(`${region}-httpbin`, httpbin.withUser("10001").withTmpFs({ "/tmp": "rw,mode=1777" }).withCommand(["gunicorn", "--bind", `127.0.0.1:${layout.appPorts.httpbin}`, "--workers", "1", "httpbin:app"]));
  }

  async #startUsers(image: string): Promise<void> {
    const { networks } = this;
    await this.#keep("users-pod", this.#base("users-pod", serversImage, layout.bothAttachments(networks, "eu-west", "users")).withCommand(["sleep", "infinity"]));
    await this.#addAtoll("users-sidecar", image, { program: ["proxy"], config: layout.usersSidecarConfig(networks), tokens: { "join-token": { kind: "workload", namespace: "web", serviceAccount: "users", from: layout.clusterOf["eu-west"] } }, attachments: [], podOf: "users-pod" });
    await eventually("users are served by us-east", async () => (await this.callFromUsers("catalog.web", "/")).region === "us-east", startWithinMs);
    const groups = [{ region: "eu-west", edge: { address: "127.0.0.1", port: outboundPort }, ratePerSecond: usersPerSecond }];
    this.#write("users", "users.json", JSON.stringify({ name: "users", dataDir: "/etc/atoll", groups, host: "catalog.web", deadlineMs: userDeadlineMs, firstAnswers: 0, rampMs: 0 }));
    const users = this.#inPod(this.#base("users", image, []), "users-pod").withBindMounts([{ source: join(this.#directory, "users"), target: "/etc/atoll" }]);
    // The control socket lies in a directory of whoever runs the tests, so the users are the same user.
    await this.#keep("users", users.withUser(`${String(process.getuid?.() ?? 0)}:${String(process.getgid?.() ?? 0)}`).withEntrypoint(["node"]).withCommand(["services/demo/users-main.ts", "--config", "/etc/atoll/users.json"]));
    this.#users = await eventually("the users can be asked", () => openUsersClient(join(this.#directory, "users"), "eu-west", systemClock), startWithinMs);
  }

  async #addAtoll(name: string, image: string, part: AtollPart): Promise<void> {
    this.#parts.set(name, part);
    this.#write(name, "config.json", JSON.stringify(part.config));
    for (const [file, { from, ...purpose }] of Object.entries(part.tokens ?? {})) this.#write(name, file, await this.#token(from, purpose));
    await this.#startAtoll(name, image);
  }

  async #startAtoll(name: string, image: string): Promise<void> {
    const part = this.#parts.get(name);
    if (part === undefined) throw new Error(`no part is named ${name}`);
    const container = this.#base(name, image, part.attachments).hardened().withTmpFs({ "/var/cache/atoll": "rw,uid=10001,mode=0700", "/tmp": "rw,mode=1777" });
    const mounts = [{ source: join(this.#directory, name), target: "/etc/atoll", mode: "ro" as const }, { source: this.#volume(name), target: "/var/lib/atoll" }];
    if (part.podOf !== undefined) this.#inPod(container, part.podOf);
    // The image's own check, asked more often than an operator would.
    const healthCheck = { test: ["CMD", "/opt/atoll/infra/images/health"] as ["CMD", string], interval: second, timeout: 10 * second, retries: 10, startPeriod: 60 * second };
    await this.#keep(name, container.withBindMounts(mounts).withCommand([...part.program, "--config", "/etc/atoll/config.json"]).withHealthCheck(healthCheck).withWaitStrategy(Wait.forHealthCheck()));
  }

  #base(name: string, image: string, attachments: readonly Attachment[]): PlacedContainer {
    return new PlacedContainer(image, attachments).withName(`${this.#id}-${name}`).withAutoCleanup(false).withPullPolicy({ shouldPull: () => "never" }).withStartupTimeout(startWithinMs);
  }

  #configured(container: PlacedContainer, name: string): PlacedContainer {
    return container.withBindMounts([{ source: join(this.#directory, name), target: "/etc/atoll", mode: "ro" }]);
  }

  #inPod(container: PlacedContainer, pod: string): PlacedContainer {
    return container.withNetworkMode(`container:${this.containerId(pod)}`);
  }

  async #keep(name: string, container: PlacedContainer): Promise<StartedTestContainer> {
    const started = await container.start();
    this.#containers.set(name, started);
    return started;
  }

  #volume(name: string): string {
    const volume = `${this.#id}-${name}`;
    this.#volumes.add(volume);
    return volume;
  }

  async #token(from: string, purpose: JoinPurpose): Promise<string> {
    const client = from === "global" ? this.planes.global() : this.planes.cluster(from);
    return (await eventually(`${from} makes a token`, () => client.call(globalRoutes.createJoinToken, { body: { purpose } }, never), startWithinMs)).body.token;
  }

  async #read(name: string, path: string): Promise<string> {
    const { exitCode, output } = await this.#container(name).exec(["cat", path]);
    if (exitCode !== 0) throw new Error(output);
    return output;
  }

  #write(name: string, file: string, text: string): void {
    mkdirSync(join(this.#directory, name), { recursive: true });
    writeFileSync(join(this.#directory, name, file), text);
  }

  #container(name: string): StartedTestContainer {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`no container is named ${name}`);
    return container;
  }

  #docker(name: string): ReturnType<ContainerRuntimeClient["container"]["dockerode"]["getContainer"]> {
    return this.#client.container.dockerode.getContainer(this.containerId(name));
  }
}
