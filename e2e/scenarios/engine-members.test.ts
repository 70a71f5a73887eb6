import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { apiVersion, type Service, type TrafficPolicy } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { holdsToRoles } from "#services/cli/engines/etcd-version.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually } from "../harness/eventually.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const { signal } = new AbortController();
const shopEu = "shop-eu";
/** The tests below last for some of these lives: what connects anew in them meets engines whose certificates were renewed while they ran. */
const certificateSeconds = 120;

const service = (name: string): Service => ({ apiVersion, kind: "Service", metadata: { namespace: "web", name }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] } });
const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });

describe.skipIf(!hasEngines)("a federation with three members of each engine (etcd, nats-server)", () => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let federation: TestFederation;
  /** When the last of the certificates that engines began with ends. */
  let firstEndMs: number;

  beforeAll(async () => {
    federation = await TestFederation.start(oneCluster, { engines: true, members: 3, certificateSeconds });
    firstEndMs = systemClock.nowMs() + certificateSeconds * 1_000;
    await eventually("all is well", isWell, 60_000);
  }, 240_000);
  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  /** What is not well is what a failure says. */
  async function isWell(): Promise<boolean> {
    const { code, stdout } = await federation.place.atoll("check");
    if (code !== 0) throw new Error(stdout);
    return true;
  }
  const write = (name: string) => federation.planes.cluster(shopEu).apply(service(name), {}, signal);
  const written = async (name: string): Promise<boolean> => (await write(name), true);
  const held = async (): Promise<number | undefined> => (await federation.planes.cluster(shopEu).get("TrafficPolicy", { namespace: "web", name: "catalog" }, signal)).spec.timeouts?.requestMs;
  const staleSince = async (): Promise<string | undefined> => (await federation.planes.cluster(shopEu).call(clusterRoutes.status, {}, signal)).staleSince;
  const etcds = (owner: string): readonly string[] => [1, 2, 3].map((member) => `${owner}-etcd-${member}`);

  it("takes writes, and brings them from plane to plane, without any one member of each", async () => {
    for (const [index, member] of [1, 2, 3].entries()) {
      const away = [`${shopEu}-etcd-${member}`, `global-etcd-${member}`, `eu-west-nats-${member}`, `global-nats-${member}`];
      await federation.kill(...away);
      await eventually("a write is taken", () => written(`without-${member}`), 60_000);
      const requestMs = 1_000 + index;
      await eventually("a policy reaches the cluster", async () => (await federation.planes.global().apply(policy(requestMs), {}, signal), (await held()) === requestMs), 60_000);
      await federation.start(...away);
    }
    await eventually("all is well", isWell, 60_000);
  });

  it("refuses writes and marks what it reads as stale without two of a plane's three stores, and goes on when they are back", async () => {
    await eventually("a write is taken", () => written("before"), 60_000);
    const [first = "", second = ""] = etcds(shopEu);
    await federation.kill(first, second);
    await eventually("the plane says that its store is away", async () => (await staleSince()) !== undefined, 60_000);
    await expect(write("during")).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    expect((await federation.planes.cluster(shopEu).get("Service", { namespace: "web", name: "before" }, signal)).spec.serviceAccounts).toEqual(["before"]);
    // The global plane's own store has all of its members.
    await federation.planes.global().apply(policy(2_000), {}, signal);
    await federation.start(first, second);
    await eventually("a write is taken again", () => written("after"), 60_000);
    await eventually("nothing is stale", async () => (await staleSince()) === undefined, 60_000);
    await eventually("all is well", isWell, 60_000);
  });

  it("is looked at by each plane, and what is wrong with a member is found by the check", async () => {
    type Engines = NonNullable<Awaited<ReturnType<typeof enginesOf>>>;
    const enginesOf = async () => (await federation.planes.cluster(shopEu).call(clusterRoutes.status, {}, signal)).body.engines;
    const seen = async (holds: (engines: Engines) => boolean): Promise<boolean> => holds((await enginesOf()) ?? []);
    await eventually("every member is seen", () => seen((engines) => engines.filter(({ kind }) => kind === "etcd").length === 3 && engines.every((engine) => engine.kind === "nats" || engine.silent === undefined)), 60_000);
    const engines = (await enginesOf()) ?? [];
    for (const engine of engines) expect(engine).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string, reaches: [] });
    expect(engines.filter(({ kind }) => kind === "nats")).toHaveLength(1);
    const finding = (words: RegExp) => async (): Promise<boolean> => words.test((await federation.place.atoll("check")).stdout);

    const [third = ""] = etcds(shopEu).slice(2);
    await federation.kill(third);
    await eventually("the check names the member that is away", finding(/etcd at https:\S+ does not answer the plane of shop-eu: .*bears the loss of no further member/), 60_000);
    await federation.start(third);
    await eventually("all is well", isWell, 60_000);

    // What is not the plane's, put there by who may.
    const { store } = JSON.parse(readFileSync(join(federation.directoryOf("shop-eu-plane"), "config.json"), "utf8")) as { readonly store: { readonly endpoints: readonly string[] } };
    const file = (name: string): Buffer => readFileSync(join(federation.directoryOf("global"), "engines", name));
    const administrator = new Etcd3({ hosts: [...store.endpoints], credentials: { rootCertificate: file("ca.pem"), certChain: file("etcd-administrator.pem"), privateKey: file("etcd-administrator.key") } });
    await administrator.put("/elsewhere").value("x");
    const isHeldToRoles = engines.every((engine) => engine.kind === "nats" || holdsToRoles(engine.version ?? ""));
    const reach = isHeldToRoles ? [] : ["nested"];
    await eventually("the plane has looked again", () => seen((now) => now.every((engine) => engine.kind === "nats" || JSON.stringify(engine.reaches) === JSON.stringify(reach))), 60_000);
    expect(await finding(/lets the plane of shop-eu read what is not its own, by a transaction within a transaction/)()).toBe(!isHeldToRoles);
    await administrator.delete().key("/elsewhere");
    administrator.close();
    await eventually("all is well", isWell, 60_000);
  });

  it("lets into a plane's store neither its administrator nor an engine of another", async () => {
    const { store } = JSON.parse(readFileSync(join(federation.directoryOf("shop-eu-plane"), "config.json"), "utf8")) as { readonly store: { readonly endpoints: readonly string[] } };
    const global = federation.directoryOf("global");
    const admin = parseAdminContext(readFileSync(join(global, "admin-context.json"), "utf8"));
    const engine = (name: string): string => readFileSync(join(global, "engines", name), "utf8");
    if (!("certificatePem" in admin)) throw new Error("the local administrator has a certificate");
    const strangers = [[admin.certificatePem, admin.privateKeyPem], [engine("global-etcd-1.pem"), engine("global-etcd-1.key")]] as const;
    for (const [certificate, key] of strangers) {
      const client = new Etcd3({ hosts: store.endpoints[0] ?? "", credentials: { rootCertificate: Buffer.from(engine("ca.pem")), certChain: Buffer.from(certificate), privateKey: Buffer.from(key) } });
      await expect(client.get("/atoll/cluster/shop-eu/atoll/v1/leader")).rejects.toThrow(/UNAVAILABLE/);
      client.close();
    }
  });

  it("goes on when every certificate that its engines began with has ended, for whoever connects anew, and no engine is restarted for it", async () => {
    const lifeMs = certificateSeconds * 1_000;
    const seen = async () => [(await federation.planes.global().call(globalRoutes.status, {}, signal)).body, (await federation.planes.cluster(shopEu).call(clusterRoutes.status, {}, signal)).body].map(({ engineCertificates = [] }) => engineCertificates);
    const lastStartMs = Math.max(...(await federation.list()).map(({ kind, startedAtMs = 0 }) => (kind === "engine" ? startedAtMs : 0)));
    const fromMs = Math.max(firstEndMs, lastStartMs);
    // Each plane sees three of etcd and all six of NATS.
    await eventually("each engine shows what was made after the first ones had ended and after its own start", async () => (await seen()).every((shown) => shown.length === 9 && shown.every(({ notAfterMs }) => notAfterMs - lifeMs > fromMs)), 180_000);
    const connectsAnew = ["shop-eu-plane", "global", `${shopEu}-etcd-1`, "global-etcd-1", "eu-west-nats-1", "global-nats-1"];
    await federation.stop(...connectsAnew);
    await federation.start(...connectsAnew);
    await eventually("a write is taken", () => written("renewed"), 60_000);
    await eventually("a policy reaches the cluster", async () => (await federation.planes.global().apply(policy(3_000), {}, signal), (await held()) === 3_000), 60_000);
    await eventually("all is well", isWell, 60_000);
  });
});
