import { call } from "../harness/http-call.ts";
import { demoReadinessPath } from "#services/cli/up/demo-federation.ts";
import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { appsName, usersName } from "#services/cli/up/planned-process.ts";
import type { BenchProcess } from "../bench/rig.ts";
import type { Pins } from "../bench/pins.ts";
import { TestFederation } from "../harness/test-federation.ts";
import type { AppConfig } from "./app.ts";
import type { OverloadSettings } from "./arguments.ts";
import { LoadedPath } from "./loaded-path.ts";
import { startApps } from "./two-sidecars.ts";

const services = ["front", "middle", "last"] as const;
const clusters = ["one", "two"] as const;
const trustDomain = "hops.example";

/** Two regions with three services each, of which the first calls the second and that the third. */
const plan: FederationPlan = {
  federation: "hops.atoll",
  regions: [
    { name: "one", displayName: "One", coordinates: { latitude: 0, longitude: 0 } },
    { name: "two", displayName: "Two", coordinates: { latitude: 0, longitude: 40 } },
  ],
  clusters: clusters.map((name, at) => ({ name, region: name, trustDomain, isSigner: at === 0, exportNamespaces: ["web"] })),
  distances: [{ between: ["one", "two"], oneWayMs: 20 }],
  workloads: services.map((service) => ({
    namespace: "web",
    service,
    trustDomain,
    port: 80,
    app: { kind: "demo", role: service === "last" ? "catalog" : "storefront", workMs: 0 },
    readinessPath: demoReadinessPath,
    isExported: true,
    consumers: [],
  })),
  // For the edge's sidecar; the load is ours.
  users: [{ region: "one", cluster: "one", ratePerSecond: 1 }],
  relationships: [],
  policies: [],
};

const edgeProxy = "one-edge";
const workMs = 10;
const deadlineMs = 2_000;
/** Three times 10 ms of work, and 40 ms there and back, and as much again for each of them. */
const slowMs = 250;

/** Three hops through two regions, on all processors with the load beside them. */
export class ThreeHops implements AsyncDisposable {
  readonly #federation: TestFederation;
  readonly #apps: readonly BenchProcess[];
  readonly #lastPorts: readonly number[];
  readonly #path: (settings: OverloadSettings) => LoadedPath;
  #sidecars: readonly string[];

  private constructor(
    federation: TestFederation,
    parts: { readonly apps: readonly BenchProcess[]; readonly lastPorts: readonly number[]; readonly path: (settings: OverloadSettings) => LoadedPath },
  ) {
    this.#federation = federation;
    this.#apps = parts.apps;
    this.#lastPorts = parts.lastPorts;
    this.#path = parts.path;
    this.#sidecars = [edgeProxy, ...clusters.flatMap((cluster) => services.map((service) => proxyOf(cluster, service)))];
  }

  static async start(pins: Pins, onProgress: (sentence: string) => void): Promise<ThreeHops> {
    onProgress("starting a federation of two regions with three services each");
    await using cleanUp = new AsyncDisposableStack();
    const federation = cleanUp.use(await TestFederation.start(plan));
    const apps: BenchProcess[] = [];
    const lastPorts: number[] = [];
    for (const cluster of clusters) {
      const configs = await appsOf(federation, cluster);
      lastPorts.push(configs.at(-1)?.port ?? 0);
      await federation.stop(appsName(cluster));
      apps.push(cleanUp.use(startApps({ directory: federation.place.directory, pins, role: "anywhere" }, cluster, configs)));
    }
    await federation.stop(usersName);
    const port = await federation.port(edgeProxy, "outbound");
    const path = (settings: OverloadSettings): LoadedPath =>
      new LoadedPath({ pins, role: "anywhere", port, host: "front.web", deadlineMs, slowMs, rampFrom: 25, onProgress }, settings);
    cleanUp.move();
    return new ThreeHops(federation, { apps, lastPorts, path });
  }

  path(settings: OverloadSettings): LoadedPath {
    return this.#path(settings);
  }

  /** Every sidecar's admin port, by its name. */
  async adminPorts(): Promise<ReadonlyMap<string, number>> {
    const ports = new Map<string, number>();
    for (const name of this.#sidecars) ports.set(name, await this.#federation.port(name, "admin"));
    return ports;
  }

  /** Has the third service in both regions answer 503 from now on, or no longer; tells how many requests have reached it. */
  async setLast(word: "fail" | "heal" | "requests"): Promise<number> {
    let requests = 0;
    for (const port of this.#lastPorts) requests += Number((await call(port, { path: `/control/${word}` })).body);
    return requests;
  }

  /** Leaves the third service to the other region, so that every request crosses to it. */
  async moveLastAway(): Promise<void> {
    const name = proxyOf("one", "last");
    await this.#federation.stop(name);
    this.#sidecars = this.#sidecars.filter((sidecar) => sidecar !== name);
  }

  /** Nothing of the service is left in the cluster. */
  isGone(service: string, cluster: string): boolean {
    const [name = ""] = service.split(".");
    return !this.#sidecars.includes(proxyOf(cluster, name));
  }

  /** Stops the process that users call, or everything that there is, for a while: what a host does to those on it. */
  async stall(what: "edge" | "everything", pauseFor: () => Promise<void>): Promise<void> {
    const views = (await this.#federation.list()).filter(({ name }) => what === "everything" || name === edgeProxy);
    const pids = [...views.flatMap(({ pid }) => pid ?? []), ...(what === "everything" ? this.#apps.map(({ pid }) => pid) : [])];
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    try {
      await pauseFor();
    } finally {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    }
  }

  /** Kills every sidecar and starts them all at once; resolves when they say that they serve. */
  async restartSidecars(): Promise<void> {
    await this.#federation.kill(...this.#sidecars);
    await this.#federation.start(...this.#sidecars);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.#apps) await app[Symbol.asyncDispose]();
    await this.#federation[Symbol.asyncDispose]();
  }
}

function proxyOf(cluster: string, service: string): string {
  return `${cluster}-${service}-proxy`;
}

async function appsOf(federation: TestFederation, cluster: string): Promise<readonly AppConfig[]> {
  const configs: AppConfig[] = [];
  for (const [at, service] of services.entries()) {
    const next = services[at + 1];
    const port = await federation.port(appsName(cluster), `${cluster}-${service}`);
    const outbound = await federation.port(proxyOf(cluster, service), "outbound");
    configs.push({ port, workers: 0, workMs, ...(next === undefined ? {} : { next: { port: outbound, host: `${next}.web` } }) });
  }
  return configs;
}
