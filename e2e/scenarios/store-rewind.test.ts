import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const { signal } = new AbortController();
const shopEu = "shop-eu";

const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });

/** What both kinds of stores are put through. */
class Rewound implements AsyncDisposable {
  readonly federation: TestFederation;

  private constructor(federation: TestFederation) {
    this.federation = federation;
  }

  static async start(engines: boolean): Promise<Rewound> {
    const rewound = new Rewound(await TestFederation.start(oneCluster, { engines }));
    await rewound.federation.addCaller("probe", { cluster: shopEu, region: "eu-west", namespace: "web", serviceAccount: "probe" });
    await eventually("the catalog answers", async () => (await rewound.status()) === 200);
    return rewound;
  }

  async status(): Promise<number> {
    return (await this.federation.callThrough("probe", "catalog.web", "/")).status;
  }

  async apply(requestMs: number): Promise<void> {
    await this.federation.planes.global().apply(policy(requestMs), {}, signal);
  }

  /** Acknowledged, and known to the cluster. */
  async applied(requestMs: number): Promise<void> {
    await eventually("the policy is written", async () => (await this.apply(requestMs), true));
    await this.holds(shopEu, requestMs);
  }

  /** Resolves when a plane has the policy with that time. It does not answer for a moment each time that it thinks otherwise of its store. */
  async holds(plane: string, requestMs: number): Promise<void> {
    await eventually(`${plane} has the policy of ${requestMs} ms`, async () => {
      const held = await this.heldBy(plane);
      if (held !== requestMs) throw new Error(`it has one of ${held} ms`);
      return true;
    });
  }

  /** Resolves when a write is refused for the store's sake; one that is taken is a failure. */
  async refuses(requestMs: number): Promise<void> {
    const code = await eventually("the plane answers a write", async () => {
      const outcome = await this.apply(requestMs).then(() => "written", (error: unknown) => (isAtollError(error) ? error.code : describeError(error)));
      return outcome === "ATOLL_ADMIN_UNAVAILABLE" ? undefined : outcome;
    });
    expect(code).toBe("ATOLL_STORE_BEHIND");
  }

  /** The time that the policy gives, as a cluster, or the global plane, has it. */
  async heldBy(plane: string): Promise<number | undefined> {
    const client = plane === "global" ? this.federation.planes.global() : this.federation.planes.cluster(plane);
    return (await client.get("TrafficPolicy", { namespace: "web", name: "catalog" }, signal)).spec.timeouts?.requestMs;
  }

  async checkedFor(plane: string): Promise<void> {
    let said = "";
    await eventually(`\`atoll check\` names the store of ${plane}`, async () => {
      said = (await this.federation.place.atoll("check")).stdout;
      return said.includes(`\`atoll reconcile ${plane}\``);
    }, 60_000).catch((error: unknown) => {
      throw new Error(`\`atoll check\` says: ${said}`, { cause: error });
    });
  }

  /** By the plane's own metric. */
  async isBehind(plane: string): Promise<boolean> {
    const { listen } = JSON.parse(readFileSync(join(this.federation.directoryOf(plane), "config.json"), "utf8")) as { readonly listen: { readonly metricsPort: number } };
    return /^atoll_store_behind\{reason="\w+",.*\} 1$/m.test((await call(listen.metricsPort, { path: "/metrics" })).body);
  }

  async decide(plane: string): Promise<string> {
    const { code, stdout, stderr } = await this.federation.place.atoll("reconcile", plane, "--take-newer");
    expect([code, stderr]).toEqual([0, ""]);
    await eventually("all is well", async () => (await this.federation.place.atoll("check")).code === 0, 60_000);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.federation[Symbol.asyncDispose]();
  }
}

describe.skipIf(!hasEngines)("an etcd that is put back to what it held before (etcd, nats-server)", () => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let rewound: Rewound;

  beforeAll(async () => {
    rewound = await Rewound.start(true);
  }, 240_000);
  afterAll(async () => {
    await (rewound as Rewound | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  const dataOf = (name: string): string => join(rewound.federation.directoryOf(name), "etcd");
  const copyOf = (name: string): string => `${rewound.federation.directoryOf(name)}/before`;
  const copy = async (name: string): Promise<void> => {
    await rewound.federation.kill(name);
    cpSync(dataOf(name), copyOf(name), { recursive: true });
    await rewound.federation.start(name);
  };
  const putBack = (name: string): void => {
    rmSync(dataOf(name), { recursive: true });
    cpSync(copyOf(name), dataOf(name), { recursive: true });
  };

  it("under a global plane that runs stops it, and loses nothing that was acknowledged once somebody has decided", async () => {
    await rewound.applied(1_000);
    await copy("global-etcd");
    await rewound.applied(2_000);
    await rewound.federation.kill("global-etcd");
    putBack("global-etcd");
    await rewound.federation.start("global-etcd");
    await rewound.checkedFor("global");
    await rewound.refuses(3_000);
    await rewound.holds("global", 1_000);
    await rewound.holds(shopEu, 2_000);
    expect(await rewound.isBehind("global")).toBe(true);
    expect(await rewound.status()).toBe(200);
    expect(await rewound.decide("global")).toMatch(/taken +global\/TrafficPolicy\/web\/catalog/);
    await rewound.holds("global", 2_000);
    await rewound.applied(4_000);
  });

  it("while a cluster's plane was away leaves its proxies as they are, and comes back with what others hold", async () => {
    const { planes } = rewound.federation;
    await copy("shop-eu-etcd");
    await eventually("the plane writes again", async () => (await planes.cluster(shopEu).apply({ apiVersion, kind: "Service", metadata: { namespace: "web", name: "later" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["later"] } }, {}, signal), true));
    await planes.cluster(shopEu).apply({ apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name: "later" }, spec: {} }, {}, signal);
    await eventually("the global plane holds the export", async () => (await rewound.federation.place.atoll("status")).stdout.includes("web/later"));
    await rewound.federation.kill("shop-eu-plane", "shop-eu-etcd");
    putBack("shop-eu-etcd");
    await rewound.federation.start("shop-eu-etcd", "shop-eu-plane");
    await rewound.checkedFor(shopEu);
    expect(await rewound.status()).toBe(200);
    const { code, stdout, stderr } = await rewound.federation.place.atoll("reconcile", shopEu, "--take-newer");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/taken +shop-eu\/ServiceExport\/web\/later/);
    await eventually("its plane has the service again", async () => (await planes.cluster(shopEu).get("Service", { namespace: "web", name: "later" }, signal)).spec.serviceAccounts[0] === "later");
    await eventually("the catalog's instance is registered again", async () => (await rewound.federation.place.atoll("status")).stdout.match(/web\/catalog .*shop-eu 1\/1/) !== null, 60_000);
    expect(await rewound.status()).toBe(200);
  });
});

describe("an embedded store that is put back", () => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let rewound: Rewound;

  beforeAll(async () => {
    rewound = await Rewound.start(false);
  }, 240_000);
  afterAll(async () => {
    await (rewound as Rewound | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  it("takes its own backup where its file is damaged, which counts as a restore: nothing is published from it until somebody has decided", async () => {
    await rewound.applied(1_000);
    const directory = rewound.federation.directoryOf("global");
    const file = readdirSync(directory).find((name) => name.endsWith(".sqlite"));
    if (file === undefined) throw new Error("the global plane has no store file");
    await eventually("there is a backup", () => readdirSync(directory).includes(`${file}.backup-1`), 60_000);
    await rewound.applied(2_000);
    await rewound.federation.kill("global");
    // SQLite would repair the file from its log.
    for (const suffix of ["", "-wal"]) writeFileSync(join(directory, `${file}${suffix}`), "damaged".repeat(1_000));
    await rewound.federation.start("global");
    await rewound.checkedFor("global");
    await rewound.holds(shopEu, 2_000);
    expect(await rewound.status()).toBe(200);
    await rewound.decide("global");
    await rewound.holds("global", 2_000);
  });

  it("comes back with its whole directory as it was before, as a restored machine does, and is told so by who had heard more", async () => {
    const { federation } = rewound;
    const directory = federation.directoryOf("global");
    const before = `${directory}-before`;
    await rewound.applied(5_000);
    await federation.kill("global");
    cpSync(directory, before, { recursive: true });
    await federation.start("global");
    await rewound.applied(6_000);
    await federation.kill("global");
    rmSync(directory, { recursive: true });
    cpSync(before, directory, { recursive: true });
    await federation.start("global");
    await rewound.checkedFor("global");
    await eventually("the plane itself has been shown it", async () => await rewound.isBehind("global"));
    await rewound.holds("global", 5_000);
    await rewound.holds(shopEu, 6_000);
    await rewound.refuses(7_000);
    expect(await rewound.decide("global")).toMatch(/taken +global\/TrafficPolicy\/web\/catalog/);
    await rewound.holds("global", 6_000);
  });
});
