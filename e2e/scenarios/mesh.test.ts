import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { parseLabel } from "#federation/model/names.ts";
import { sumWindows } from "#services/cli/demo/request-window.ts";
import { appsName } from "#services/cli/up/planned-process.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { call, metricOf, sendRaw } from "../harness/http-call.ts";
import { bundleOf, dial, http2Hello, type Dial, issueWithIntermediateOf, svidOf } from "../harness/mesh-tls.ts";
import { twoRegions } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const payments = "payments.core.svc.pay.example";
const ledger = "ledger.core.svc.pay.example";
const catalogSni = "p80.catalog.web.svc.shop.example";
const paymentsSni = `p80.${payments}`;
const ledgerSni = `p80.${ledger}`;

/** Undefined only where it could not be brought up; then no test runs. */
let federation: TestFederation;
let accessLog = "";

beforeAll(async () => {
  federation = await TestFederation.start(twoRegions);
  accessLog = await federation.addCaller("probe", { cluster: "shop-eu", region: "eu-west", namespace: "web", serviceAccount: "edge" });
  await eventually("every user is served at home", async () => {
    const answers = [await federation.callThrough("eu-west-edge", "storefront.web", "/account"), await federation.callThrough("us-east-edge", "storefront.web", "/account")];
    return answers[0]?.region === "eu-west" && answers[1]?.region === "us-east" && answers.every(({ status }) => status === 200);
  });
  await federation.usersSettled(["eu-west", "us-east"]);
}, 180_000);

afterAll(async () => {
  await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
}, 60_000);

describe("while everything is healthy", () => {
  it("serves at least 99 % of a caller's requests in its own region, and fails none", async () => {
    const seen = new Map<string, number>();
    for (const region of ["eu-west", "us-east"]) seen.set(region, (await federation.users(region)).windows.length);
    await pause(5_000);
    for (const region of ["eu-west", "us-east"]) {
      const { windows } = await federation.users(region);
      const sum = sumWindows(windows.slice(seen.get(region)));
      expect(sum.failed).toBe(0);
      expect(sum.okTotal).toBeGreaterThan(50);
      expect((sum.ok[region] ?? 0) / sum.okTotal).toBeGreaterThanOrEqual(0.99);
    }
  });

  it("answers an unknown host with 404, and names it with flag NR in the access log", async () => {
    const answer = await federation.callThrough("probe", "nowhere.web");
    expect(answer.status).toBe(404);
    const line = await eventually("the access log's line", () => readFileSync(accessLog, "utf8").split("\n").find((text) => text.includes("nowhere.web")));
    expect(JSON.parse(line)).toMatchObject({ authority: "nowhere.web", response_code: 404, response_flags: "NR" });
  });

  it.each([
    ["what is no HTTP at all", "\u0016\u0003\u0001 hello\r\n\r\n"],
    ["two lengths that contradict each other", "POST / HTTP/1.1\r\nhost: storefront.web\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde"],
    ["a length beside chunks", "POST / HTTP/1.1\r\nhost: storefront.web\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ])("answers %s with 400, closes, and counts it", async (_what, text) => {
    const before = await faults();
    const answer = await sendRaw(await federation.port("probe", "outbound"), text);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(await faults()).toBe(before + 1);
  });

  async function faults(): Promise<number> {
    const page = await federation.metrics("probe");
    const lines = page.split("\n").filter((line) => line.startsWith("atoll_http_faults_total{"));
    return lines.filter((line) => line.includes('side="outbound"')).reduce((sum, line) => sum + metricOf(line, "atoll_http_faults_total", []), 0);
  }
});

describe("a relationship for one service and one caller", () => {
  it("lets that caller call that service", async () => {
    const answer = await federation.callThrough("shop-eu-storefront-proxy", payments, "/balance");
    expect(answer).toMatchObject({ status: 200, region: "eu-west" });
  });

  it("lets it call from a region where the service has to be reached through a gateway", async () => {
    const answer = await federation.callThrough("shop-us-storefront-proxy", payments, "/balance");
    expect(answer).toMatchObject({ status: 200, region: "eu-west" });
  });

  it("shows nothing of another service of the same owner, and knows no way to it", async () => {
    const answer = await federation.callThrough("shop-eu-storefront-proxy", ledger);
    expect(answer.status).toBe(404);
    expect(JSON.stringify(await federation.admin("shop-eu-storefront-proxy", "/snapshot"))).not.toContain(ledger);
  });

  it("refuses the other service in the handshake, at the gateway's door and at the sidecar's own", async () => {
    const svid = await svidOf(federation.directoryOf("shop-eu-storefront-proxy"));
    const bundle = bundleOf(federation.directoryOf("pay-eu-1-plane"), "pay.example");
    const gateway = await federation.port("pay-eu-1-gateway", "gateway");
    expect(await dial({ port: gateway, svid, bundle, servername: paymentsSni })).toMatchObject({ kind: "answered" });
    expect(await dial({ port: gateway, svid, bundle, servername: ledgerSni })).toMatchObject({ kind: "refused" });
    const sidecar = await federation.port("pay-eu-1-ledger-proxy", "inbound");
    expect(await dial({ port: sidecar, svid, bundle, servername: ledgerSni })).toMatchObject({ kind: "refused" });
  });

  it("refuses another caller of the trusted side at once, with the reason, and takes it for no fault of the place", async () => {
    const svid = await svidOf(federation.directoryOf("probe"));
    const bundle = bundleOf(federation.directoryOf("pay-eu-1-plane"), "pay.example");
    for (let count = 0; count < 8; count++) {
      expect(await federation.callThrough("probe", payments)).toMatchObject({ status: 403, body: "caller_not_allowed\n" });
    }
    const sidecar = await federation.port("pay-eu-1-payments-proxy", "inbound");
    expect(answerOf(await dial({ port: sidecar, svid, bundle, servername: paymentsSni }))).toBe("403 caller_not_allowed");
    const refused = await eventually("the access log's lines", () => {
      const lines = readFileSync(accessLog, "utf8").trim().split("\n");
      const found = lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line["authority"] === payments);
      return found.length === 8 && found;
    });
    for (const line of refused) expect(line).toMatchObject({ response_code: 403, response_flags: "UAEX", response_code_details: "caller_not_allowed", attempts: 1 });
    const { places } = await federation.admin<{ readonly places: readonly { readonly lowered: boolean; readonly verdict: string; readonly because: string }[] }>("probe", `/explain?service=${payments}`);
    expect(places.some(({ lowered, verdict }) => lowered || verdict === "down")).toBe(false);
    expect(places[0]?.because).toMatch(/^refuses us: caller_not_allowed, last at /);
    expect(metricOf(await federation.metrics("probe"), "atoll_refused_total", ['reason="caller_not_allowed"', 'side="outbound"'])).toBe(8);
    expect(metricOf(await federation.metrics("pay-eu-1-payments-proxy"), "atoll_refused_total", ['reason="caller_not_allowed"', 'side="inbound"'])).toBeGreaterThanOrEqual(9);
  });

  it("gives the called side no way to call back: neither by name nor by a certificate that its plane did issue", async () => {
    expect((await federation.callThrough("pay-eu-1-ledger-proxy", "storefront.web.svc.shop.example")).status).toBe(404);
    const { svid } = await federation.redeem(await federation.workloadToken("pay-eu-1", "core", "ledger"));
    expect(svid.spiffeId).toBe("spiffe://pay.example/ns/core/sa/ledger");
    const bundle = bundleOf(federation.directoryOf("shop-eu-plane"), "shop.example");
    const sidecar = await federation.port("shop-eu-catalog-proxy", "inbound");
    expect(await dial({ port: sidecar, svid, bundle, servername: catalogSni })).toMatchObject({ kind: "refused" });
    const gateway = await federation.port("shop-eu-gateway", "gateway");
    expect(await dial({ port: gateway, svid, bundle, servername: catalogSni })).toMatchObject({ kind: "refused" });
  });

  /** Status and reason of an answer to a dial. */
  function answerOf(result: Dial): string {
    if (result.kind === "refused") return result.reason;
    const text = result.bytes.toString("latin1");
    return `${text.slice(9, 12)} ${/x-atoll-reason: (\S+)/.exec(text)?.[1]}`;
  }
});

describe("a policy that gives requests ten minutes", () => {
  const longMs = 600_000;
  /** Longer than the 15 s that requests get unless a policy says otherwise. */
  const slowMs = 16_000;

  it("gives them ten minutes on the whole path, and what flows is not cut at all", async () => {
    const apps = appsName("eu-west");
    const port = await federation.port(apps, "shop-eu-catalog");
    // Its port must be free when this returns.
    await federation.stop(apps);
    await using slowApp = await openSlowApp(port);
    const file = join(federation.place.directory, "long.yaml");
    const spec = `targetRef: { namespace: web, name: catalog, trustDomain: shop.example }\n  locality: { mode: nearest }\n  timeouts: { requestMs: ${longMs}, idleMs: ${longMs} }\n`;
    writeFileSync(file, `apiVersion: atoll.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: { name: catalog, namespace: web }\nspec:\n  ${spec}`);
    expect((await federation.place.atoll("apply", "-f", file)).code).toBe(0);
    await eventually("the policy is known", async () => {
      const { services } = await federation.admin<{ readonly services: readonly { readonly service: string; readonly policy: { readonly timeouts: { readonly requestMs: number } } }[] }>("probe", "/snapshot");
      return services.some(({ service, policy }) => service.startsWith("catalog.web.") && policy.timeouts.requestMs === longMs);
    });
    await eventually("the application in its place answers", async () => (await federation.callThrough("probe", "catalog.web", "/healthz")).body === "slow app");
    const outbound = await federation.port("probe", "outbound");
    const slow = (method: string, path: string) => call(outbound, { host: "catalog.web", method, path, withinMs: slowMs * 2 });
    const answers = await Promise.all([slow("POST", "/slow"), slow("GET", "/stream?every=1000"), slow("GET", `/stream?every=${slowMs}`)]);
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(["200 done", `200 ${"tick ".repeat(slowMs / 1_000)}done`, "200 tick done"]);
    await slowApp[Symbol.asyncDispose]();
    await federation.start(apps);
  });

  /** An application that takes its time: before the head, between bytes, or with a byte each second. */
  async function openSlowApp(port: number): Promise<AsyncDisposable> {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://app");
      request.resume();
      if (url.pathname === "/slow") setTimeout(() => response.end("done"), slowMs);
      else if (url.pathname === "/stream") void stream(response, Number(url.searchParams.get("every")));
      else response.end("slow app");
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    return {
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
      },
    };
  }

  async function stream(response: ServerResponse, everyMs: number): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let passedMs = 0; passedMs < slowMs; passedMs += everyMs) {
      response.write("tick ");
      await pause(everyMs);
    }
    response.end("done");
  }
});

describe("a certificate of one trust domain that claims an identity of another", () => {
  const claimed = "spiffe://shop.example/ns/web/sa/storefront";

  it("is refused by a sidecar in the handshake, in both directions", async () => {
    const shopBundle = bundleOf(federation.directoryOf("shop-eu-plane"), "shop.example");
    const catalog = await federation.port("shop-eu-catalog-proxy", "inbound");
    const real = await svidOf(federation.directoryOf("shop-eu-storefront-proxy"));
    const forged = issueWithIntermediateOf(federation.directoryOf("pay-eu-1-plane"), claimed);
    expect(await dial({ port: catalog, svid: real, bundle: shopBundle, servername: catalogSni })).toMatchObject({ kind: "answered" });
    expect(await dial({ port: catalog, svid: forged, bundle: shopBundle, servername: catalogSni })).toMatchObject({ kind: "refused" });

    const payBundle = bundleOf(federation.directoryOf("pay-eu-1-plane"), "pay.example");
    const ledgerPort = await federation.port("pay-eu-1-ledger-proxy", "inbound");
    const own = issueWithIntermediateOf(federation.directoryOf("pay-eu-1-plane"), "spiffe://pay.example/ns/core/sa/payments");
    const ofShop = issueWithIntermediateOf(federation.directoryOf("shop-eu-plane"), "spiffe://pay.example/ns/core/sa/payments");
    expect(await dial({ port: ledgerPort, svid: own, bundle: payBundle, servername: ledgerSni })).toMatchObject({ kind: "answered" });
    expect(await dial({ port: ledgerPort, svid: ofShop, bundle: payBundle, servername: ledgerSni })).toMatchObject({ kind: "refused" });
  });

  it("is refused by the plane that proxies talk to, in the handshake", async () => {
    const bundle = federation.federationBundle();
    const port = await federation.port("shop-eu-plane", "discovery");
    const real = await svidOf(federation.directoryOf("shop-eu-storefront-proxy"));
    const forged = issueWithIntermediateOf(federation.directoryOf("pay-eu-1-plane"), claimed);
    const http2 = { port, bundle, alpn: ["h2"], hello: http2Hello };
    expect(await dial({ ...http2, svid: real })).toMatchObject({ kind: "answered" });
    expect(await dial({ ...http2, svid: forged })).toMatchObject({ kind: "refused" });
  });

  it("is refused by the global plane and by a cluster's admin port, as a workload's and as an administrator's", async () => {
    const bundle = federation.federationBundle();
    const payPlane = federation.directoryOf("pay-eu-1-plane");
    const ports = [await federation.port("global", "api"), await federation.port("shop-eu-plane", "admin")];
    for (const port of ports) {
      for (const identity of [claimed, "spiffe://demo.atoll/atoll/admin/local", "spiffe://demo.atoll/atoll/plane/cluster/shop-eu"]) {
        expect(await dial({ port, svid: issueWithIntermediateOf(payPlane, identity), bundle })).toMatchObject({ kind: "refused" });
      }
    }
  });
});

describe("a join token", () => {
  it("works for exactly one of two who redeem it at once; the loser learns no more than who made one up", async () => {
    const token = await federation.workloadToken("shop-eu", "web", "edge");
    const outcomes = await Promise.allSettled([federation.redeem(token), federation.redeem(token)]);
    const won = outcomes.filter(({ status }) => status === "fulfilled");
    const lost = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    expect(won).toHaveLength(1);
    expect(lost).toHaveLength(1);
    const errors = [lost[0], await refusalOf(token), await refusalOf(withOtherSecret(token)), await refusalOf(withOtherId(token))];
    expect(errors.every((error) => isAtollError(error, "ATOLL_JOIN_TOKEN_REFUSED"))).toBe(true);
    expect(new Set(errors.map((error) => (error as Error).message)).size).toBe(1);
  });

  async function refusalOf(token: string): Promise<unknown> {
    return await federation.redeem(token).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  function altered(token: string, change: (fields: Record<string, string>) => void): string {
    const fields = JSON.parse(Buffer.from(token.slice("atoll1.".length), "base64url").toString("utf8")) as Record<string, string>;
    change(fields);
    return `atoll1.${Buffer.from(JSON.stringify(fields)).toString("base64url")}`;
  }

  function withOtherSecret(token: string): string {
    return altered(token, (fields) => (fields["secret"] = Buffer.alloc(32, 7).toString("base64url")));
  }

  function withOtherId(token: string): string {
    return altered(token, (fields) => (fields["id"] = "00000000-0000-4000-8000-000000000000"));
  }
});

describe("a malformed resource file", () => {
  it("is refused with file, line and column of every fault, and nothing of it is applied", async () => {
    const file = join(federation.place.directory, "bad.yaml");
    const region = (name: string): string => `apiVersion: atoll.dev/v1alpha1\nkind: Region\nmetadata:\n  name: ${name}\n`;
    writeFileSync(file, `${region("good-one")}spec: {}\n---\n${region("bad-one")}spec:\n  displayNam: x\n`);
    const unknownField = await federation.place.atoll("apply", "-f", file);
    expect(unknownField.stderr).toContain(`${file}:12:3`);
    expect(unknownField.stderr).toContain("displayNam");
    expect(unknownField.code).not.toBe(0);
    writeFileSync(file, `${region("good-one")}spec: [\n`);
    const malformed = await federation.place.atoll("apply", "-f", file);
    expect(malformed.stderr).toMatch(new RegExp(`${file}:\\d+:\\d+`));
    expect(malformed.code).not.toBe(0);
    const regions = await federation.planes.global().list("Region", {}, new AbortController().signal);
    expect(regions.map(({ metadata }) => metadata.name).sort()).toEqual(["eu-west", "us-east"]);
  });
});

describe("a policy that names what does not exist, or is for what another one is for", () => {
  it("is refused with --strict, told of when it is applied, and listed by check until it is gone", async () => {
    const file = join(federation.place.directory, "vain.yaml");
    const policy = (name: string, target: string, order: string): string => `apiVersion: atoll.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: { name: ${name}, namespace: web }\nspec:\n  targetRef: { namespace: web, name: ${target}, trustDomain: shop.example }\n  locality: { mode: ordered, order: [${order}] }\n`;
    writeFileSync(file, [policy("vain-first", "catalogue", "eu-west"), policy("vain-second", "catalogue", "eu-wset")].join("---\n"));
    const faults = [/TrafficPolicy web\/vain-second: TrafficPolicy web\/vain-first is for the same service/, /TrafficPolicy web\/vain-second: spec\.locality\.order\[0\] names eu-wset: there is no such Region/];
    const coming = /TrafficPolicy web\/vain-first: spec\.targetRef names web\/catalogue of shop\.example, which no cluster exports/;

    const strict = await federation.place.atoll("apply", "--strict", "-f", file);
    expect(strict.code).toBe(1);
    expect(strict.stderr).toContain("ATOLL_REFERENCES_UNRESOLVED");
    for (const words of [...faults, coming]) expect(strict.stderr).toMatch(words);
    expect((await federation.place.atoll("get", "tp")).stdout).not.toContain("vain");

    const applied = await federation.place.atoll("apply", "-f", file);
    expect(applied.code, applied.stderr).toBe(0);
    for (const words of [...faults, coming]) expect(applied.stderr).toMatch(words);
    const described = await federation.place.atoll("describe", "tp", "web/vain-second");
    expect(described.stdout).toContain("Conflicted: True (TargetTaken)");
    expect(described.stdout).toContain("ResolvedRefs: False (RegionNotFound)");
    const checked = await federation.place.atoll("check");
    for (const words of faults) expect(checked.stdout).toMatch(new RegExp(`wrong +${words.source}`));
    expect(checked.stdout).toMatch(new RegExp(`soon +${coming.source}`));

    for (const name of ["vain-first", "vain-second"]) expect((await federation.place.atoll("delete", "tp", `web/${name}`)).code).toBe(0);
    expect((await federation.place.atoll("check")).stdout).not.toContain("vain");
  });
});

describe("a cluster's plane that is killed while it takes writes", () => {
  it("has every acknowledged write when it is back, and traffic never notices", async () => {
    const acknowledged = new Set<string>();
    const before = await federation.users("us-east");
    const seen = before.windows.length;
    for (let round = 0; round < 4; round++) {
      const killed = new AbortController();
      const had = acknowledged.size;
      const writing = writeServices(round, acknowledged, killed.signal);
      // Each round dies at another moment: during the first writes, and later and later.
      await eventually("some writes are acknowledged", () => acknowledged.size > had + round * 4);
      killed.abort();
      await federation.kill("shop-us-plane");
      await writing;
      await federation.start("shop-us-plane");
    }
    const services = await federation.planes.cluster("shop-us").list("Service", { namespace: "load" }, new AbortController().signal);
    const names = new Set(services.map(({ metadata }) => metadata.name));
    expect([...acknowledged].filter((name) => !names.has(parseLabel(name, "service")))).toEqual([]);
    const after = await federation.users("us-east");
    expect(sumWindows(after.windows.slice(seen)).failed).toBe(0);
  });

  /** Writes one after the other until the plane is gone, which it may be from the abort of `killed` on. */
  async function writeServices(round: number, acknowledged: Set<string>, killed: AbortSignal): Promise<void> {
    const client = federation.planes.cluster("shop-us");
    for (let number = 0; number < 500; number++) {
      const name = `s-${round}-${number}`;
      try {
        await client.apply(
          { apiVersion: "atoll.dev/v1alpha1", kind: "Service", metadata: { name, namespace: "load" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] } },
          {},
          new AbortController().signal,
        );
      } catch (error) {
        // Not acknowledged: it may be there or not.
        if (killed.aborted) return;
        throw error;
      }
      acknowledged.add(name);
    }
  }
});

describe("a proxy's admin page", () => {
  it("shows and never changes", async () => {
    const answer = await call(await federation.port("probe", "admin"), { path: "/stats", method: "POST" });
    expect(answer.status).toBe(405);
  });
});

describe("a policy that the proxy which is told of it first does not outlive", () => {
  const shopUs = "shop-us";
  const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "a-catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });
  const write = async (requestMs: number): Promise<unknown> => await federation.planes.global().apply(policy(requestMs), {}, new AbortController().signal);
  const statusOf = async (cluster: string): Promise<ClusterStatus> => (await federation.planes.cluster(cluster).call(clusterRoutes.status, {}, new AbortController().signal)).body;
  const sidecarsOf = async (cluster: string): Promise<readonly string[]> => (await statusOf(cluster)).proxies.filter(({ mode }) => mode === "sidecar").map(({ name }) => name);
  const toldMs = async (sidecar: string): Promise<number | undefined> => {
    const { services } = await federation.admin<{ readonly services: readonly { readonly service: string; readonly policy: { readonly timeouts: { readonly requestMs: number } } }[] }>(sidecar, "/snapshot");
    return services.find(({ service }) => service.startsWith("catalog.web."))?.policy.timeouts.requestMs;
  };
  const signalAll = async (sidecars: readonly string[], name: "SIGSTOP" | "SIGCONT"): Promise<void> => {
    for (const sidecar of sidecars) {
      const { pid } = await federation.view(sidecar);
      if (pid !== undefined) process.kill(pid, name);
    }
  };

  it("reaches no other one of its cluster, which is said by name, and is put back by `atoll rollback`", async () => {
    const running = (await federation.list()).filter(({ kind, region, state }) => kind === "sidecar" && region === "us-east" && state === "running").map(({ name }) => name);
    const sidecars = await eventually("its sidecars are with their plane", async () => {
      const connected = await sidecarsOf(shopUs);
      return running.every((name) => connected.includes(name)) && connected.length > 1 ? connected : undefined;
    }, 60_000);
    await write(14_000);
    await eventually("all have the one before", async () => (await Promise.all(sidecars.map(toldMs))).every((told) => told === 14_000));
    // Whichever is told first stands still with it, and ends.
    await signalAll(sidecars, "SIGSTOP");
    let canary = "";
    try {
      await write(13_000);
      canary = await eventually("one is told of it", async () => (await statusOf(shopUs)).policyTrials?.find(({ state }) => state === "tried")?.proxies[0]);
      await federation.kill(canary);
    } finally {
      await signalAll(sidecars.filter((name) => name !== canary), "SIGCONT");
    }
    await eventually("it is held back", async () => (await statusOf(shopUs)).policyTrials?.some(({ state, cause, triedAgain, proxies }) => state === "stopped" && cause === "left" && triedAgain === true && proxies[0] === canary) === true, 60_000);
    for (const sidecar of sidecars.filter((name) => name !== canary)) expect(await toldMs(sidecar)).toBe(14_000);
    for (const sidecar of await sidecarsOf("shop-eu")) expect(await toldMs(sidecar)).toBe(13_000);
    expect((await federation.place.atoll("check")).stdout).toContain(`is held back in shop-us by proxy ${canary}, which was told of it first`);
    const undone = await federation.place.atoll("rollback", "tp/web/a-catalog");
    expect(undone.code, undone.stderr).toBe(0);
    await federation.start(canary);
    await eventually("nothing is held back", async () => (await statusOf(shopUs)).policyTrials === undefined);
    for (const sidecar of [...sidecars, ...(await sidecarsOf("shop-eu"))]) await eventually(`${sidecar} has the one before`, async () => (await toldMs(sidecar)) === 14_000);
  }, 180_000);
});
