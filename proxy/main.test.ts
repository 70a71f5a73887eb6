import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterId, RegionId, ServiceHost } from "#federation/model/names.ts";
import { workloadId } from "#federation/model/service.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { TestPlane } from "./control/plane-fixture.ts";
import { createTestTrustDomain } from "./tls/identity-fixture.ts";

// The program as it is started in production: one process each, one configuration file, signals.

const program = new URL("main.ts", import.meta.url).pathname;
const shop = createTestTrustDomain("shop.example");
const { trustDomain } = shop.bundle;
const host = "catalog.web.svc.shop.example" as ServiceHost;

let dataDir = "";
let plane: TestPlane;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-main-"));
  plane = new TestPlane("shop-eu", shop);
  await plane.open();
  plane.show({ bundles: [shop.bundle] });
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
  await plane[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly ports: Readonly<Record<string, number>>;
  readonly errors: () => string;
}

async function start(name: string, token: string, more: object): Promise<Started> {
  const directory = join(dataDir, name);
  const configFile = join(dataDir, `${name}.json`);
  const joinTokenFile = join(dataDir, `${name}.token`);
  rmSync(join(directory, "ready.json"), { force: true });
  writeFileSync(joinTokenFile, token);
  const ports = { outbound: 0, inbound: 0, gateway: 0, admin: 0, metrics: 0 };
  writeFileSync(configFile, JSON.stringify({ mode: "sidecar", name, dataDir: directory, joinTokenFile, address: "127.0.0.1", region: "eu-west", ports, logLevel: "warn", ...more }));
  const child = spawn(process.execPath, [program, "--config", configFile], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${errors}`);
    try {
      const ready = JSON.parse(readFileSync(join(directory, "ready.json"), "utf8")) as { readonly pid: number; readonly ports: Readonly<Record<string, number>> };
      expect(ready.pid).toBe(child.pid);
      return { child, ports: ready.ports, errors: () => errors };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function get(port: number): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, headers: { host }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end();
  });
}

function catalogAt(port: number): ServiceView {
  return {
    ref: { namespace: "web", name: "catalog", trustDomain },
    host,
    aliases: [],
    ports: [{ name: "http", port: 80, protocol: "http" }],
    serverIdentities: [workloadId(trustDomain, "web", "catalog")],
    policy: defaultTrafficPolicy,
    places: [
      {
        kind: "local",
        cluster: "shop-eu" as ClusterId,
        region: "eu-west" as RegionId,
        endpoints: [{ id: "e", address: "127.0.0.1", port, locality: { region: "eu-west" as RegionId }, weight: 1, readiness: "ready" }],
      },
    ],
  };
}

describe("the proxy program", () => {
  it("finishes a request under way when it is told to end, deregisters first, and exits 0", async () => {
    const held: ServerResponse[] = [];
    const app = createServer((_request, response) => void held.push(response));
    app.listen(0, "127.0.0.1");
    await once(app, "listening");
    const inbound = { ref: { namespace: "web", name: "catalog", trustDomain }, port: { name: "http", port: 80, protocol: "http" as const }, callers: [{ trustDomain, principals: ["*" as const] }] };
    plane.show({ inbound: new Map([["/ns/web/sa/catalog", new Map([[`p80.${host}`, inbound]])]]) });
    const services = [{ namespace: "web", service: "catalog", port: 80, appPort: (app.address() as AddressInfo).port }];
    const server = await start("catalog", plane.token("/ns/web/sa/catalog"), { workload: { instanceId: "c1", services } });
    plane.show({ services: [catalogAt(server.ports["inbound"] ?? 0)] });
    const client = await start("storefront", plane.token("/ns/web/sa/storefront"), {});

    const answer = get(client.ports["outbound"] ?? 0);
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const exit = once(server.child, "exit");
    server.child.kill("SIGTERM");
    while (plane.reports.at(-1)?.draining !== true) await new Promise((resolve) => setImmediate(resolve));
    held[0]?.end("finished");
    expect(await answer).toEqual({ status: 200, body: "finished" });
    expect(await exit).toEqual([0, null]);
    app.closeAllConnections();
    app.close();
  });

  it("serves from disk after SIGKILL, with a plane that knows no token any more", async () => {
    plane.show({ services: [catalogAt(1)] });
    const first = await start("storefront", plane.token("/ns/web/sa/storefront"), {});
    const snapshotOf = async (started: Started): Promise<string> => (await fetch(`http://127.0.0.1:${started.ports["admin"]}/snapshot`)).text();
    expect(await snapshotOf(first)).toContain(host);
    const lkg = join(dataDir, "storefront", "lkg", "0000000001.new");
    for (;;) {
      try {
        readFileSync(lkg);
        break;
      } catch {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const exit = once(first.child, "exit");
    first.child.kill("SIGKILL");
    await exit;
    await plane[Symbol.asyncDispose]();
    const second = await start("storefront", "", {});
    const snapshot = await snapshotOf(second);
    expect(snapshot).toContain('"source": "disk"');
    expect(snapshot).toContain(host);
  });

  it("exits 1 and says so when the plane refuses its token", async () => {
    const token = plane.token("/ns/web/sa/storefront");
    await start("first", token, {});
    await expect(start("second", token, {})).rejects.toThrow(/ended with 1: [^]*ATOLL_JOIN_TOKEN_REFUSED/);
  });
});
