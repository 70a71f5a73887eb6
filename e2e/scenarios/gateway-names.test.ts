import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DnsServer } from "#federation/runtime/dns/dns-server-fixture.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../harness/eventually.ts";
import { metricOf } from "../harness/http-call.ts";
import { twoRegions } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const payments = "payments.core.svc.pay.example";
const name = "gateways.pay.example";
const ttlSeconds = 2;
/** Of the answer with the new address: longer than it takes to use it, on any host. */
const longTtlSeconds = 15;
const callers = 8;
/** So much traffic on each side of a change is load. */
const answersEnough = 100;

interface Stats {
  readonly names: readonly { readonly name: string; readonly addresses: readonly string[]; readonly problem: string | null }[];
  readonly gateways: readonly { readonly address: string; readonly name?: string; readonly roundTripMs: number | null }[];
}

/** Undefined only where they could not be brought up; then no test runs. */
let federation: TestFederation;
let dns: DnsServer;
let load: Load;
let port = 0;

/** Users of one sidecar, each with one request after the other, GET and POST in turn, until it is disposed. */
class Load implements AsyncDisposable {
  readonly failures: string[] = [];
  answers = 0;
  readonly #stop = new AbortController();
  readonly #users: readonly Promise<void>[];

  constructor(outbound: () => number) {
    this.#users = Array.from({ length: callers }, (_, index) => this.#use(outbound, index));
  }

  /** Waits for load beyond what there was. */
  async more(count = answersEnough): Promise<void> {
    const before = this.answers;
    await eventually(`${count} more answers`, () => this.answers >= before + count, 60_000);
  }

  async #use(outbound: () => number, index: number): Promise<void> {
    for (let turn = index; !this.#stop.signal.aborted; turn++) {
      const method = turn % 2 === 0 ? "GET" : "POST";
      const outcome = await ask(outbound(), method).catch((error: unknown) => String(error));
      if (outcome === "200") this.answers++;
      else this.failures.push(`${method} ${outcome}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#users);
  }
}

function ask(outbound: number, method: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const body = method === "POST" ? "{}" : "";
    const outgoing = request({ host: "127.0.0.1", port: outbound, path: "/balance", method, agent: false, headers: { host: payments, "content-length": body.length } }, (incoming) => {
      incoming.resume();
      incoming.once("error", reject);
      incoming.once("end", () => resolve(String(incoming.statusCode)));
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

beforeAll(async () => {
  dns = await DnsServer.open();
  federation = await TestFederation.start({ ...twoRegions, users: [] });
  const gateway = { cluster: "pay-eu-1", region: "eu-west" };
  await federation.addGateway("gateway-2", { ...gateway, address: "127.0.0.2", port: 0 });
  port = await federation.port("gateway-2", "gateway");
  await federation.addGateway("gateway-3", { ...gateway, address: "127.0.0.3", port });
  await federation.addGateway("gateway-4", { ...gateway, address: "127.0.0.4", port });
  dns.set(name, { addresses: ["127.0.0.2", "127.0.0.3"], ttlSeconds });
  await federation.addCaller("probe", { cluster: "shop-us", region: "us-east", namespace: "web", serviceAccount: "storefront" }, { dns: { servers: [dns.server] } });
  await listGateways([{ address: name, port }]);
  await eventually("both addresses of the name are measured", async () => {
    const { gateways } = await federation.admin<Stats>("probe", "/stats");
    const named = gateways.filter((entry) => entry.name === name && entry.roundTripMs !== null);
    return named.map(({ address }) => address).toSorted().join() === "127.0.0.2,127.0.0.3";
  });
  const outbound = await federation.port("probe", "outbound");
  await eventually("payments answer", async () => (await ask(outbound, "GET")) === "200");
  load = new Load(() => outbound);
}, 180_000);

afterAll(async () => {
  await (load as Load | undefined)?.[Symbol.asyncDispose]();
  await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  await (dns as DnsServer | undefined)?.[Symbol.asyncDispose]();
}, 60_000);

/** Makes these the addresses under which the cluster of payments is reached. */
async function listGateways(gateways: readonly object[]): Promise<void> {
  const got = await federation.place.atoll("get", "cluster", "pay-eu-1", "-o", "json");
  expect(got.code, got.stderr).toBe(0);
  const { apiVersion, kind, metadata, spec } = JSON.parse(got.stdout) as { readonly apiVersion: string; readonly kind: string; readonly metadata: { readonly name: string }; readonly spec: object };
  const file = join(federation.place.directory, "cluster.json");
  writeFileSync(file, JSON.stringify({ apiVersion, kind, metadata: { name: metadata.name }, spec: { ...spec, gateways } }));
  const applied = await federation.place.atoll("apply", "-f", file);
  expect(applied.code, applied.stderr).toBe(0);
}

const namedAddresses = async (): Promise<string> => (await federation.admin<Stats>("probe", "/stats")).names.find((entry) => entry.name === name)?.addresses.join() ?? "";
const accepted = async (gateway: string): Promise<number> => metricOf(await federation.metrics(gateway), "atoll_gateway_connections_total", ['event="accepted"']);
const open = async (gateway: string): Promise<number> => metricOf(await federation.metrics(gateway), "atoll_connections_active", []);
const carried = async (gateway: string): Promise<number> => metricOf(await federation.metrics(gateway), "atoll_gateway_bytes_total", ['direction="in"']);

/** Waits until a gateway carries requests: more than the pings of a second. */
async function carries(gateway: string): Promise<void> {
  const before = await carried(gateway);
  await eventually(`${gateway} carries requests`, async () => (await carried(gateway)) > before + 4_096);
}

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("a gateway's name under load", () => {
  it("is used with all of its addresses", async () => {
    await load.more();
    await carries("gateway-2");
    await carries("gateway-3");
    expect(await accepted("gateway-4")).toBe(0);
    expect(load.failures).toEqual([]);
  });

  it("changes its addresses: the new one is used with the next question, the old one is let go, and no request fails", async () => {
    const asked = dns.questionsFor(name);
    await eventually("a question was just asked", () => dns.questionsFor(name) > asked);
    const questions = dns.questionsFor(name);
    const changedMs = systemClock.monotonicMs();
    dns.set(name, { addresses: ["127.0.0.3", "127.0.0.4"], ttlSeconds: longTtlSeconds });
    await eventually("the new address is connected to", async () => (await accepted("gateway-4")) > 0);
    const usedAfterMs = systemClock.monotonicMs() - changedMs;
    // The first answer is enough: it is not asked again before its own time to live is over.
    expect(dns.questionsFor(name) - questions).toBe(1);
    expect(await namedAddresses()).toBe("127.0.0.3,127.0.0.4");
    await carries("gateway-4");
    await eventually("nothing is open at the old address", async () => (await open("gateway-2")) === 0);
    await load.more();
    expect(load.failures).toEqual([]);
    process.stdout.write(`new address used ${Math.round(usedAfterMs)} ms after the change, time to live ${ttlSeconds} s, ${load.answers} answers, ${load.failures.length} failed\n`);
  });

  it("loses the gateway at its old address, and nobody notices", async () => {
    await federation.kill("gateway-2");
    await load.more();
    expect(load.failures).toEqual([]);
  });

  it("is used on while DNS fails, and while it says that there is no such name, with one warning", async () => {
    for (const record of ["servfail", undefined] as const) {
      dns.set(name, record);
      const questions = dns.questionsFor(name);
      await eventually("DNS was asked in vain", () => dns.questionsFor(name) > questions + 1, 60_000);
      await load.more();
    }
    expect(load.failures).toEqual([]);
    expect(await namedAddresses()).toBe("127.0.0.3,127.0.0.4");
    const warnings = (await federation.log("probe")).split("\n").filter((line) => line.includes("ATOLL_NAME_UNRESOLVED"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(name);
  });

  it("serves a proxy that starts while DNS is silent, by what the name stood for last", async () => {
    await load[Symbol.asyncDispose]();
    dns.set(name, "silent");
    await federation.kill("probe");
    await federation.start("probe");
    const outbound = await federation.port("probe", "outbound");
    for (let count = 0; count < 20; count++) expect(await ask(outbound, "GET")).toBe("200");
    expect(await namedAddresses()).toBe("127.0.0.3,127.0.0.4");
  });

  it("that does not resolve stands in no other gateway's way, and is named by the page of the proxy", async () => {
    dns.set(name, { addresses: ["127.0.0.4"], ttlSeconds });
    await listGateways([{ address: "nothing.invalid", port }, { address: name, port }]);
    const outbound = await federation.port("probe", "outbound");
    const nothing = await eventually("the name was asked for", async () => (await federation.admin<Stats>("probe", "/stats")).names.find((entry) => entry.name === "nothing.invalid" && entry.problem !== null));
    // In whose words is the host's matter: one without a network of its own asks in vain.
    expect(nothing.addresses).toEqual([]);
    for (let count = 0; count < 20; count++) expect(await ask(outbound, "GET")).toBe("200");
  });

  it("is not asked for by those who resolve otherwise: what they had is kept where it means nothing to them", async () => {
    expect(await federation.callThrough("shop-us-storefront-proxy", payments, "/balance")).toMatchObject({ status: 200 });
  });
});
