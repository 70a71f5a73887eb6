import { join } from "node:path";
import type { ContainerRuntimeClient } from "testcontainers";
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
import { AtollParts } from "./atoll-parts.ts";
import { ContainerSet, startWithinMs } from "./container-set.ts";
import { serversImage } from "./images.ts";
import * as layout from "./layout.ts";
import { openTestNetwork } from "./networks.ts";
import { makeKeys, startApps, startEngines } from "./surroundings.ts";

const never = new AbortController().signal;
/** Low enough for two busy processors, high enough that each second of a fault meets requests. */
const usersPerSecond = 20;
const userDeadlineMs = 8_000;
/** Where the sidecar of a pod listens for its application. */
const outboundPort = 15_001;

/** What came back to a caller inside a pod. */
export interface PodAnswer {
  readonly status: number;
  readonly region: string | undefined;
  readonly body: string;
}

/** Three regions in containers: real engines, planes, gateways, sidecars beside applications that nobody here wrote. Disposing removes everything. */
export class ContainerFederation implements AsyncDisposable {
  readonly networks: layout.Networks;
  readonly containers: ContainerSet;
  readonly parts: AtollParts;
  #planes: Planes | undefined;
  #users: UsersClient | undefined;

  private constructor(containers: ContainerSet, networks: layout.Networks) {
    this.containers = containers;
    this.parts = new AtollParts(containers);
    this.networks = networks;
  }

  /** Brings all of it up on `image`, with users who call. On failure nothing is left. */
  static async start(client: ContainerRuntimeClient, image: string): Promise<ContainerFederation> {
    const containers = new ContainerSet(client);
    const networks: Record<string, Awaited<ReturnType<typeof openTestNetwork>>> = {};
    for (const name of [...layout.regions, "wan"]) networks[name] = await openTestNetwork(client, `${containers.id}-${name}`);
    const federation = new ContainerFederation(containers, networks as unknown as layout.Networks);
    try {
      await federation.#bringUp(image);
      return federation;
    } catch (error) {
      console.error(await containers.logs());
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

  /** One request from the users' pod through their sidecar. */
  async callFromUsers(host: string, path: string): Promise<PodAnswer> {
    const script = [
      "import http.client, json, sys",
      `connection = http.client.HTTPConnection("127.0.0.1", ${outboundPort}, timeout=10)`,
      'connection.request("GET", sys.argv[2], headers={"Host": sys.argv[1]})',
      "answer = connection.getresponse()",
      'print(json.dumps({"status": answer.status, "region": answer.getheader("x-region"), "body": answer.read().decode()}))',
    ].join("\n");
    const { status, region, body } = JSON.parse(await this.containers.run("users-pod", ["python3", "-c", script, host, path])) as { readonly status: number; readonly region: string | null; readonly body: string };
    return { status, region: region ?? undefined, body };
  }

  /** Declares what an operator would, at the global plane or at those of `clusters`. */
  async apply(text: string, clusters: readonly string[]): Promise<void> {
    const outcome = parseYaml(text, "resources.yaml");
    if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
    await eventually("resources are applied", () => applyResources(this.planes, outcome.resources, clusters, never), startWithinMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#users?.[Symbol.asyncDispose]();
    this.#planes?.[Symbol.dispose]();
    await this.containers[Symbol.asyncDispose]();
    for (const network of Object.values(this.networks)) await network[Symbol.asyncDispose]();
  }

  async #bringUp(image: string): Promise<void> {
    const { networks, containers, parts } = this;
    await makeKeys(containers, image, networks);
    await Promise.all(layout.regions.map((region) => startEngines(containers, networks, region)));
    await parts.add("global", image, { program: ["global", "run"], config: layout.globalConfig(networks), attachments: layout.bothAttachments(networks, "eu-west", "global") });
    await this.#openPlanes();
    const resources = layout.resourceTexts(networks);
    await this.apply(resources.global, []);
    for (const region of layout.regions) {
      const cluster = parseClusterId(layout.clusterOf[region]);
      const tokens = {
        "join-token": await this.#token("global", { kind: "cluster", cluster }),
        ...(region === "eu-west" ? {} : { "signer-token": await this.#token(layout.clusterOf["eu-west"], { kind: "enrolment", cluster }) }),
      };
      await parts.add(`${region}-plane`, image, { program: ["cluster", "run"], config: layout.planeConfig(networks, region), tokens, attachments: layout.bothAttachments(networks, region, "plane") });
      await eventually(`${cluster} answers`, () => this.planes.cluster(cluster).call(clusterRoutes.status, {}, never), startWithinMs);
    }
    for (const region of ["us-east", "ap-south"] as const) {
      await this.apply(resources.ofRegion(region), [layout.clusterOf[region]]);
      await this.#addApps(image, region);
    }
    await this.#startUsers(image);
  }

  async #addApps(image: string, region: layout.Region): Promise<void> {
    const { networks, parts } = this;
    const from = layout.clusterOf[region];
    const pod = await startApps(this.containers, networks, region);
    const [gateway, apps] = [await this.#token(from, { kind: "gateway" }), await this.#token(from, { kind: "workload", namespace: "web", serviceAccount: "apps" })];
    await Promise.all([
      parts.add(`${region}-gateway`, image, { program: ["proxy"], config: layout.gatewayConfig(networks, region), tokens: { "join-token": gateway }, attachments: layout.bothAttachments(networks, region, "gateway") }),
      parts.add(`${region}-sidecar`, image, { program: ["proxy"], config: layout.appSidecarConfig(networks, region), tokens: { "join-token": apps }, attachments: [], podOf: pod }),
    ]);
  }

  async #openPlanes(): Promise<void> {
    const { containers } = this;
    const planes = Object.fromEntries(layout.regions.map((region) => [layout.clusterOf[region], `${layout.wanAddress(this.networks, region, "plane")}:7420`]));
    containers.write("admin", "context.json", JSON.stringify({ admin: "admin-context.json", planes, signers: { [layout.trustDomain]: layout.clusterOf["eu-west"] } }));
    containers.write("admin", "admin-context.json", await eventually("the admin context is written", () => containers.read("global", "/var/lib/atoll/admin-context.json"), startWithinMs));
    this.#planes = new Planes(readDirectory(join(containers.directory("admin"), "context.json")), systemClock);
    await eventually("the global plane answers", () => this.planes.global().call(globalRoutes.status, {}, never), startWithinMs);
  }

  async #startUsers(image: string): Promise<void> {
    const { networks, containers } = this;
    await containers.start("users-pod", containers.create("users-pod", serversImage, layout.bothAttachments(networks, "eu-west", "users")).withCommand(["sleep", "infinity"]));
    const token = await this.#token(layout.clusterOf["eu-west"], { kind: "workload", namespace: "web", serviceAccount: "users" });
    await this.parts.add("users-sidecar", image, { program: ["proxy"], config: layout.usersSidecarConfig(networks), tokens: { "join-token": token }, attachments: [], podOf: "users-pod" });
    await eventually("users are served by us-east", async () => (await this.callFromUsers("catalog.web", "/")).region === "us-east", startWithinMs);
    const groups = [{ region: "eu-west", edge: { address: "127.0.0.1", port: outboundPort }, ratePerSecond: usersPerSecond }];
    containers.write("users", "users.json", JSON.stringify({ name: "users", dataDir: "/etc/atoll", groups, host: "catalog.web", deadlineMs: userDeadlineMs, firstAnswers: 0, rampMs: 0 }));
    const users = containers.create("users", image, []).inPodOf(containers.containerId("users-pod")).withBindMounts([{ source: containers.directory("users"), target: "/etc/atoll" }]);
    // The control socket lies in a directory of whoever runs the tests, so the users are the same user.
    await containers.start("users", users.withUser(`${String(process.getuid?.() ?? 0)}:${String(process.getgid?.() ?? 0)}`).withEntrypoint(["node"]).withCommand(["services/demo/users-main.ts", "--config", "/etc/atoll/users.json"]));
    this.#users = await eventually("the users can be asked", () => openUsersClient(containers.directory("users"), "eu-west", systemClock), startWithinMs);
  }

  async #token(from: string, purpose: JoinPurpose): Promise<string> {
    const client = from === "global" ? this.planes.global() : this.planes.cluster(from);
    return (await eventually(`${from} makes a token`, () => client.call(globalRoutes.createJoinToken, { body: { purpose } }, never), startWithinMs)).body.token;
  }
}
