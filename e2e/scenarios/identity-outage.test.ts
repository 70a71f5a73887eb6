import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const plane = "shop-eu-plane";
const { signal } = new AbortController();
/** Shortest that a plane takes. */
const svidSeconds = 10;

describe.skipIf(!hasEngines)("identities that end while nobody is there to renew them (etcd, nats-server)", () => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let federation: TestFederation;
  let metricsPort = 0;

  beforeAll(async () => {
    federation = await TestFederation.start(oneCluster, { engines: true });
    const configFile = join(federation.directoryOf(plane), "config.json");
    const config = JSON.parse(readFileSync(configFile, "utf8")) as { readonly listen: { readonly metricsPort: number } };
    ({ metricsPort } = config.listen);
    writeFileSync(configFile, JSON.stringify({ ...config, svidSeconds }));
    await federation.kill(plane);
    await federation.start(plane);
    await federation.addCaller("probe", { cluster: "shop-eu", region: "eu-west", namespace: "web", serviceAccount: "probe" });
    await eventually("the catalog answers", async () => (await status()) === 200);
  }, 240_000);

  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  const status = async (): Promise<number> => (await federation.callThrough("probe", "catalog.web", "/")).status;
  const stores = async (): Promise<readonly string[]> => (await federation.list()).filter(({ name }) => name.includes("etcd")).map(({ name }) => name);
  /** Of all proxies, at the discovery port and by key. */
  const renewals = async (): Promise<number> =>
    [...(await call(metricsPort, { path: "/metrics" })).body.matchAll(/^atoll_svids_issued_total\{kind="renewed(?:ByKey)?",.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);

  it("serves through more than three lives of an identity while every store is away", async () => {
    const dead = await stores();
    expect(dead.length).toBeGreaterThan(0);
    await federation.kill(...dead);
    const { proxies } = (await federation.planes.cluster("shop-eu").call(clusterRoutes.status, {}, signal)).body;
    expect(proxies.length).toBeGreaterThan(0);
    const before = await renewals();
    // Renewal is at half of a life.
    const seen = new Set<number>();
    await eventually("each proxy was renewed seven times", async () => {
      seen.add(await status());
      return (await renewals()) - before >= 7 * proxies.length;
    }, 180_000);
    expect([...seen]).toEqual([200]);
    await federation.start(...dead);
  });

  it("has everybody back without a person when the plane was away for longer than identities live", async () => {
    await federation.kill(plane);
    await eventually("the probe's identity is over", async () => (await status()) === 503, 120_000);
    await federation.start(plane);
    const returnedMs = systemClock.monotonicMs();
    await eventually("the catalog answers again", async () => (await status()) === 200);
    process.stderr.write(`the probe was back ${(systemClock.monotonicMs() - returnedMs).toFixed(0)} ms after its plane\n`);
    expect(await federation.log(plane)).toMatch(/An identity that had expired was renewed by its key/);
  });
});
