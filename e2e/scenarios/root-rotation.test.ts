import { once } from "node:events";
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { appsName } from "#services/cli/up/planned-process.ts";
import type { FederationPlan } from "#services/cli/up/federation-plan.ts";
import { eventually } from "../harness/eventually.ts";
import { twoRegions } from "../harness/plans.ts";
import { TestFederation, type CommandResult } from "../harness/test-federation.ts";

const shop = "shop.example";
/** Shortest that a plane takes: what the former root has issued is over soon. */
const svidSeconds = 10;
/** Two clusters of a trust domain, one of a team that the shop calls under a relationship; no users but those of the test. */
const plan: FederationPlan = { ...twoRegions, users: [], clusters: twoRegions.clusters.map((cluster) => ({ ...cluster, svidSeconds })) };
const { signal } = new AbortController();

describe("the root of a trust domain that is rotated under load", () => {
  let federation: TestFederation;

  beforeAll(async () => {
    federation = await TestFederation.start(plan);
    for (const [name, cluster, region] of [["eu", "shop-eu", "eu-west"], ["us", "shop-us", "us-east"]] as const) {
      await federation.addCaller(name, { cluster, region, namespace: "web", serviceAccount: "storefront" });
      await eventually(`the catalog answers ${name}`, async () => (await federation.callThrough(name, "catalog.web", "/")).status === 200);
      await eventually(`payments answers ${name}`, async () => (await federation.callThrough(name, "payments.core.svc.pay.example", "/balance")).status === 200);
    }
  }, 240_000);
  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  const rotate = (...more: readonly string[]): Promise<CommandResult> => federation.place.atollWithin({ timeout: 400_000 }, "trust", "rotate", shop, ...more);
  const rotation = async () => (await federation.planes.cluster("shop-eu").call(clusterRoutes.rootRotation, {}, signal)).body;
  const status = (): Promise<CommandResult> => federation.place.atoll("trust", "status", shop);

  it("loses no request and no stream, waits by name for a cluster that is cut off, and goes on by itself when that is back", async () => {
    await using stream = await openStream(federation);
    await using load = await openLoad(federation, ["eu", "us"], ["catalog.web", "payments.core.svc.pay.example"]);
    const before = await rotation();
    expect(before).toMatchObject({ phase: "settled", sequence: 1 });
    await eventually("there is load", () => Promise.resolve(load.answered > 50));

    await federation.kill("shop-us-plane");
    const rotated = rotate();
    await eventually("both roots are in the bundle", async () => (await rotation()).phase === "distributing");
    await eventually("the cluster that is cut off is named", async () => {
      const { code, stdout, stderr } = await status();
      return code === 1 && /activate waits for shop-us \(its plane does not answer/.test(stdout + stderr);
    });
    const second = await rotate();
    expect(second.code).not.toBe(0);
    expect(second.stderr).toMatch(/ATOLL_ROTATION_OUT_OF_STEP.*it is distributing, with the bundle of sequence 2/s);
    expect(await rotation()).toMatchObject({ phase: "distributing", sequence: 2, issuingSha256: before.issuingSha256 });

    await federation.start("shop-us-plane");
    await eventually("the other root issues", async () => (await rotation()).phase !== "distributing", 120_000);
    // The signer's plane dies in the middle: what it has said holds.
    await federation.kill("shop-eu-plane");
    await federation.start("shop-eu-plane");
    const { code, stdout, stderr } = await rotated;
    process.stderr.write(stderr);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^shop\.example has one root, in the bundle of sequence 4;/) });
    expect(stderr).toMatch(/prepared:.*activate waits for shop-us \(its plane does not answer.*activated:.*tainted:.*revoked:/s);
    const after = await rotation();
    expect(after).toMatchObject({ phase: "settled", sequence: 4 });
    expect(after.issuingSha256).not.toBe(before.issuingSha256);
    expect((await status()).code).toBe(0);

    const answered = load.answered;
    await eventually("there is load still", () => Promise.resolve(load.answered > answered + 50));
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThan(1_000);
    const ticks = stream.ticks;
    await eventually("the stream flows still", () => Promise.resolve(stream.ticks > ticks + 3));
    expect(stream.fault).toBeUndefined();
  }, 420_000);
});

/** Requests one after the other, over connections that are kept, from each of `callers` to each of `hosts`, until disposed of. */
async function openLoad(federation: TestFederation, callers: readonly string[], hosts: readonly string[]): Promise<AsyncDisposable & { readonly answered: number; readonly failures: readonly string[] }> {
  const state = { answered: 0, isOver: false, failures: [] as string[] };
  const agent = new Agent({ keepAlive: true });
  const ports = await Promise.all(callers.map(async (name) => [name, await federation.port(name, "outbound")] as const));
  const users = ports.flatMap(([name, port]) =>
    hosts.map(async (host) => {
      while (!state.isOver) {
        try {
          const { status, body } = await ask(agent, port, host, host.startsWith("payments") ? "/balance" : "/");
          if (status !== 200) state.failures.push(`${name} ${host} ${status} ${body}`);
        } catch (error) {
          state.failures.push(`${name} ${host} ${String(error)}`);
        }
        state.answered++;
        await pause(20);
      }
    }),
  );
  return {
    get answered() {
      return state.answered;
    },
    get failures() {
      return state.failures;
    },
    async [Symbol.asyncDispose]() {
      state.isOver = true;
      await Promise.all(users);
      agent.destroy();
    },
  };
}

async function ask(agent: Agent, port: number, host: string, path: string): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const outgoing = request({ host: "127.0.0.1", port, path, headers: { host }, setHost: false, agent });
  outgoing.end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return { status: incoming.statusCode, body: Buffer.concat(parts).toString("utf8") };
}

/** An application in the place of the shop's catalogs of us-east that sends a byte each 200 ms, and one stream of it, from eu-west. */
async function openStream(federation: TestFederation): Promise<AsyncDisposable & { readonly ticks: number; readonly fault: string | undefined }> {
  const state: { ticks: number; fault: string | undefined } = { ticks: 0, fault: undefined };
  const apps = appsName("us-east");
  const port = await federation.port(apps, "shop-us-catalog");
  await federation.stop(apps);
  const over = new AbortController();
  const tick = async (response: ServerResponse): Promise<void> => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    while (!over.signal.aborted && !response.destroyed) {
      response.write(".");
      await pause(200);
    }
    response.end();
  };
  const server = createServer((incoming, response) => {
    incoming.resume();
    if (incoming.url === "/stream") void tick(response);
    else response.end("catalog");
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  await eventually("the application in its place answers", async () => (await federation.callThrough("us", "catalog.web", "/")).body === "catalog");
  const outgoing = request({ host: "127.0.0.1", port: await federation.port("us", "outbound"), path: "/stream", headers: { host: "catalog.web" }, setHost: false, agent: false });
  outgoing.end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  expect(incoming.statusCode).toBe(200);
  incoming.on("data", () => void state.ticks++);
  const fail = (what: string) => (): void => {
    if (!over.signal.aborted) state.fault ??= what;
  };
  for (const event of ["end", "error", "aborted", "close"]) incoming.once(event, fail(event));
  return {
    get ticks() {
      return state.ticks;
    },
    get fault() {
      return state.fault;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      outgoing.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await federation.start(apps);
    },
  };
}
