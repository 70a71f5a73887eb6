import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { openControlClient, type ControlClient } from "#federation/runtime/control-socket.ts";
import { startApps } from "./app.ts";
import { startUsers } from "./users.ts";
import type { RequestWindow } from "./request-windows.ts";

const never = new AbortController().signal;
const address = "127.0.0.1";
/** Longer than a busy host keeps this process from its processor: who serves here is who calls, and nobody is late. */
const patientMs = 60_000;
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function usersOf(port: number, { firstAnswers = 0, deadlineMs = 2_000, target }: { readonly firstAnswers?: number; readonly deadlineMs?: number; readonly target?: { readonly host: string; readonly path: string } } = {}): Promise<ControlClient> {
  const dataDir = mkdtempSync(join(tmpdir(), "atoll-users-"));
  const users = await startUsers(
    { name: "u", dataDir, groups: [{ region: "eu", edge: { address, port }, ratePerSecond: 200, ...(target === undefined ? {} : { target }) }], host: "storefront.web", firstAnswers, rampMs: 0, deadlineMs },
    systemClock,
  );
  const client = await openControlClient(join(dataDir, "control.sock"), systemClock);
  closers.push(async () => {
    await client[Symbol.asyncDispose]();
    await users.drain();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return client;
}

async function serve(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function windows(client: ControlClient): Promise<readonly RequestWindow[]> {
  return ((await client.request("windows", { region: "eu", sinceMs: 0 }, 5_000, never)) as { windows: RequestWindow[] }).windows;
}

const total = (list: readonly RequestWindow[], of: (window: RequestWindow) => number): number => list.reduce((sum, window) => sum + of(window), 0);

describe("users", () => {
  it("call one page of somebody else's service, and come though it does not say where it is", async () => {
    const seen = new Set<string>();
    const port = await serve(
      createServer((request, response) => {
        seen.add(`${request.method} ${request.url} ${request.headers.host}`);
        response.end("{}");
      }),
    );
    const client = await usersOf(port, { firstAnswers: 20, target: { host: "shop.web", path: "/buy" } });
    await expect.poll(async () => total(await windows(client), (window) => window.ok["unknown"] ?? 0)).toBeGreaterThan(10);
    expect([...seen]).toEqual(["GET /buy shop.web"]);
  });

  it("call at their rate, reading pages and checking out, and know which region answered", async () => {
    const seen = new Set<string>();
    const port = await serve(
      createServer((request, response) => {
        seen.add(`${request.method} ${request.url} ${request.headers.host}`);
        response.writeHead(200, { "x-region": "us" }).end("{}");
      }),
    );
    const client = await usersOf(port, { deadlineMs: patientMs });
    await expect.poll(async () => total(await windows(client), (window) => window.ok["us"] ?? 0)).toBeGreaterThan(100);
    expect([...seen].sort()).toEqual(["GET / storefront.web", "GET /account storefront.web", "POST /checkout storefront.web"]);
    expect(total(await windows(client), (window) => window.failed)).toBe(0);
  });

  it("go on calling while nobody answers, and know how many requests are in flight", async () => {
    const port = await serve(createServer(() => {}));
    const client = await usersOf(port);
    const reached = (await client.request("whenInFlight", { region: "eu", atLeast: 40 }, 10_000, never)) as { inFlight: number; atMs: number };
    expect(reached.inFlight).toBeGreaterThanOrEqual(40);
    const then = (await client.request("inFlightAt", { region: "eu", atMs: reached.atMs }, 5_000, never)) as { inFlight: number };
    expect(then.inFlight).toBeGreaterThanOrEqual(40);
  });

  it("count what fails, and apart what would have been safe to repeat", async () => {
    const port = await serve(createServer((_, response) => void response.writeHead(503).end()));
    const client = await usersOf(port);
    await expect.poll(async () => total(await windows(client), (window) => window.failed)).toBeGreaterThan(40);
    const list = await windows(client);
    const idempotent = total(list, (window) => window.failedIdempotent);
    expect(idempotent).toBeGreaterThan(0);
    expect(idempotent).toBeLessThan(total(list, (window) => window.failed));
    expect(((await client.request("failures", { region: "eu" }, 5_000, never)) as { reason: string }[])[0]?.reason).toContain("status 503");
  });

  it("come when so many answers have come from home, and count nothing of that", async () => {
    let answers = 0;
    const port = await serve(
      createServer((_, response) => {
        answers++;
        response.writeHead(answers % 2 === 0 ? 503 : 200, { "x-region": answers <= 20 ? "us" : "eu" }).end("{}");
      }),
    );
    const client = await usersOf(port, { firstAnswers: 10 });
    // The tenth good answer from home is the 39th of all.
    expect(answers).toBeGreaterThanOrEqual(39);
    const counted = total(await windows(client), (window) => window.failed + (window.ok["us"] ?? 0));
    expect(counted).toBeLessThan(answers - 30);
  });

  it("call at another rate once told, and refuse a region that nobody lives in", async () => {
    let answers = 0;
    const port = await serve(
      createServer((_, response) => {
        answers++;
        response.writeHead(200, { "x-region": "eu" }).end("{}");
      }),
    );
    const client = await usersOf(port);
    await expect.poll(() => answers).toBeGreaterThan(20);
    await client.request("rate", { region: "eu", ratePerSecond: 1 }, 5_000, never);
    const toldMs = systemClock.nowMs();
    const later = async (): Promise<readonly RequestWindow[]> => (await windows(client)).filter(({ startMs }) => startMs >= toldMs);
    await expect.poll(async () => total(await later(), ({ sent }) => sent)).toBeGreaterThan(0);
    expect(total(await later(), ({ sent }) => sent)).toBeLessThan(10);
    await expect(client.request("rate", { region: "eu", ratePerSecond: 0 }, 5_000, never)).rejects.toThrow("expected a number from 1");
    await expect(client.request("rate", { region: "mars", ratePerSecond: 1 }, 5_000, never)).rejects.toThrow("no users live in mars");
  });
});

describe("the demo's applications", () => {
  it("answer with their region, the storefront through its sidecar, and say when another service fails", async () => {
    const called: string[] = [];
    let status = 200;
    const sidecar = await serve(
      createServer((request, response) => {
        called.push(`${request.method} ${request.headers.host}${request.url}`);
        response.writeHead(status, { "x-region": "us" }).end("{}");
      }),
    );
    const dataDir = mkdtempSync(join(tmpdir(), "atoll-apps-"));
    const storefront = { name: "shop-eu-storefront", kind: "storefront", listen: { address, port: 0 }, workMs: 5_000, outbound: { address, port: sidecar } } as const;
    const app = await startApps({ name: "eu-apps", dataDir, region: "eu", callDeadlineMs: 2_000, apps: [storefront] }, systemClock);
    closers.push(async () => {
      await app.drain();
      rmSync(dataDir, { recursive: true, force: true });
    });
    const control = await openControlClient(join(dataDir, "control.sock"), systemClock);
    closers.push(async () => await control[Symbol.asyncDispose]());
    await control.request("work", { workMs: 0 }, 5_000, never);
    await expect(control.request("work", { workMs: -1 }, 5_000, never)).rejects.toThrow("workMs");
    const call = async (path: string, method = "GET"): Promise<{ status: number; region: string | null; body: unknown }> => {
      const response = await fetch(`http://${address}:${app.ports["shop-eu-storefront"]}${path}`, { method, headers: { connection: "close" } });
      return { status: response.status, region: response.headers.get("x-region"), body: await response.json() };
    };
    expect(await call("/")).toMatchObject({ status: 200, region: "eu", body: { servedBy: "us" } });
    expect((await call("/checkout", "POST")).status).toBe(200);
    expect((await call("/nowhere")).status).toBe(404);
    status = 503;
    expect((await call("/account")).status).toBe(502);
    expect(called).toEqual(["GET catalog.web/items", "POST payments.core.svc.pay.example/charges", "GET payments.core.svc.pay.example/balance"]);
  });
});
