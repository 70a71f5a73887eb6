import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { apiVersion, type Service, type TrafficPolicy } from "#federation/model/resource.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";
import { TestLink } from "../harness/test-link.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const { signal } = new AbortController();
const shopEu = "shop-eu";
const plane = "shop-eu-plane";

const service = (name: string): Service => ({ apiVersion, kind: "Service", metadata: { namespace: "web", name }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] } });
const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });

/** Knocks at ports until it is disposed of, and counts those that nobody opened. */
class Knocking implements AsyncDisposable {
  readonly refused: string[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(ports: Readonly<Record<string, number>>) {
    const knock = async (name: string, port: number): Promise<void> => {
      while (!this.#stop.signal.aborted) {
        if (!(await isOpen(port))) this.refused.push(name);
        await pause(20, this.#stop.signal).catch(() => undefined);
      }
    };
    this.#running = Promise.all(Object.entries(ports).map(([name, port]) => knock(name, port)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

describe.skipIf(!hasEngines)("planes whose stores are away for longer than the leader's lease (etcd, nats-server)", () => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let federation: TestFederation;
  let stores: readonly string[];

  beforeAll(async () => {
    federation = await TestFederation.start({ ...oneCluster, clusters: oneCluster.clusters.map((cluster) => ({ ...cluster, bundleEndpoint: { profile: "https_spiffe" } })) }, { engines: true });
    stores = (await federation.list()).filter(({ name }) => name.includes("etcd")).map(({ name }) => name);
    await federation.addCaller("probe", { cluster: shopEu, region: "eu-west", namespace: "web", serviceAccount: "probe" });
    await eventually("the catalog answers", async () => (await federation.callThrough("probe", "catalog.web", "/")).status === 200);
    await eventually("the policy is with the cluster", async () => (await federation.planes.global().apply(policy(1_000), {}, signal), (await heldBy(shopEu)) === 1_000));
    await federation.planes.cluster(shopEu).apply(service("before"), {}, signal);
  }, 240_000);

  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  const heldBy = async (cluster: string): Promise<number | undefined> => (await federation.planes.cluster(cluster).get("TrafficPolicy", { namespace: "web", name: "catalog" }, signal)).spec.timeouts?.requestMs;
  const metricsPort = (): number => (JSON.parse(readFileSync(join(federation.directoryOf(plane), "config.json"), "utf8")) as { readonly listen: { readonly metricsPort: number } }).listen.metricsPort;
  const fetchBundle = async (): Promise<string> => {
    const root = readFileSync(join(federation.directoryOf(plane), "signer", "root.pem"), "utf8");
    const asked = request({ host: "127.0.0.1", port: await federation.port(plane, "bundle"), ca: root, servername: "bundles", checkServerIdentity: () => undefined, agent: false });
    asked.end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    return await text(response);
  };
  const timesIn = async (processName: string, words: string): Promise<number> => (await federation.log(processName)).split(words).length - 1;

  it("answer from what they knew, marked as of then, refuse writes, and go on in the same term when the stores are back", async () => {
    const { planes } = federation;
    await using knocking = new Knocking({
      discovery: await federation.port(plane, "discovery"),
      admin: await federation.port(plane, "admin"),
      join: await federation.port(plane, "join"),
      api: await federation.port("global", "api"),
    });
    await federation.kill(...stores);
    const clusterStatus = async () => (await planes.cluster(shopEu).call(clusterRoutes.status, {}, signal)).body;
    const globalStatus = async () => (await planes.global().call(globalRoutes.status, {}, signal)).body;
    await eventually("both say that their store is away", async () => (await clusterStatus()).storeAwaySinceMs !== undefined && (await globalStatus()).storeAwaySinceMs !== undefined);
    // The global plane is not heard once its place is uncertain: nobody may speak in a leader's name then.
    await eventually("the planes are silent towards each other", async () => !(await clusterStatus()).globalPlane.connected, 60_000);

    const { staleSince } = await planes.cluster(shopEu).call(clusterRoutes.status, {}, signal);
    expect(staleSince).toBe(new Date((await clusterStatus()).storeAwaySinceMs ?? 0).toISOString());
    expect((await planes.cluster(shopEu).get("Service", { namespace: "web", name: "before" }, signal)).spec.serviceAccounts).toEqual(["before"]);
    expect((await planes.global().list("Cluster", {}, signal)).map(({ metadata }) => metadata.name)).toEqual([shopEu]);
    for (const write of [() => planes.cluster(shopEu).apply(service("during"), {}, signal), () => planes.global().apply(policy(2_000), {}, signal)]) {
      await expect(write()).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE", message: expect.stringMatching(/has not answered since .*: nothing is written until it does/) });
    }
    const check = await federation.place.atoll("check");
    expect([check.code, check.stdout]).toEqual([1, expect.stringMatching(/the store of global has not answered for .*the store of shop-eu has not answered for /s)]);
    const services = await federation.place.atoll("get", "services", "--cluster", shopEu);
    expect([services.code, services.stdout, services.stderr]).toEqual([0, expect.stringContaining("before"), expect.stringContaining("the store of shop-eu has not answered since")]);
    expect((await federation.callThrough("probe", "catalog.web", "/")).status).toBe(200);
    expect((await clusterStatus()).bundleEndpoint).toMatchObject({ profile: "https_spiffe", port: await federation.port(plane, "bundle"), sequence: 1 });
    const bundle = readFileSync(join(federation.directoryOf(plane), "ca", "bundle.json"), "utf8");
    expect(await fetchBundle(), "what other federations fetch").toBe(bundle);
    expect(await federation.place.atoll("trust", "bundle", "show", "shop.example")).toMatchObject({ code: 0, stdout: `${bundle}\n`, stderr: expect.stringContaining(`as the plane of ${shopEu} has it from its signer`) as string });
    const unknown = await federation.place.atoll("trust", "bundle", "show", "pay.example", "--cluster", shopEu);
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining("has no bundle of pay.example: it has those of shop.example")]);
    expect((await call(metricsPort(), { path: "/metrics" })).body).toMatch(/^atoll_store_away_seconds\{.*\} [1-9]/m);

    await federation.start(...stores);
    await eventually("the cluster's plane takes writes", async () => (await planes.cluster(shopEu).apply(service("after"), {}, signal), true));
    await eventually("a policy goes from the global plane to the cluster", async () => (await planes.global().apply(policy(3_000), {}, signal), (await heldBy(shopEu)) === 3_000));
    await eventually("all is well", async () => (await federation.place.atoll("check")).code === 0, 60_000);
    expect((await planes.cluster(shopEu).call(clusterRoutes.status, {}, signal)).staleSince).toBeUndefined();
    expect([knocking.refused, await timesIn(plane, "became leader"), await timesIn("global", "became leader")]).toEqual([[], 1, 1]);
  });

  it("answer while they are cut from a store that lives, and begin another term over it once the cut is healed", async () => {
    const { planes } = federation;
    const configFile = join(federation.directoryOf(plane), "config.json");
    const config = JSON.parse(readFileSync(configFile, "utf8")) as { readonly store: { readonly endpoints: readonly string[] } };
    const { hostname, port } = new URL(config.store.endpoints[0] ?? "");
    await using link = await TestLink.open(hostname, Number(port));
    writeFileSync(configFile, JSON.stringify({ ...config, store: { ...config.store, endpoints: [`https://127.0.0.1:${link.port}`] } }));
    await federation.kill(plane);
    await federation.start(plane);
    await eventually("the plane takes writes", async () => (await planes.cluster(shopEu).apply(service("linked"), {}, signal), true));
    const termsBefore = await timesIn(plane, "became leader");
    link.cut();
    // The store has let the plane's place go by then: it keeps it for as long as the plane is certain of it.
    await eventually("the plane is no longer certain to lead", async () => /^atoll_leader\{.*\} 0$/m.test((await call(metricsPort(), { path: "/metrics" })).body), 60_000);
    const { staleSince } = await planes.cluster(shopEu).call(clusterRoutes.status, {}, signal);
    expect(staleSince).toBeDefined();
    expect((await planes.cluster(shopEu).get("Service", { namespace: "web", name: "linked" }, signal)).spec.serviceAccounts).toEqual(["linked"]);
    expect((await federation.callThrough("probe", "catalog.web", "/")).status).toBe(200);
    link.heal();
    await eventually("the plane takes writes again", async () => (await planes.cluster(shopEu).apply(service("healed"), {}, signal), true));
    await eventually("all is well", async () => (await federation.place.atoll("check")).code === 0, 60_000);
    expect(await timesIn(plane, "became leader")).toBeLessThanOrEqual(termsBefore + 1);
  });
});
