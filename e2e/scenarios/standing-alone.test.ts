import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sumWindows, type WindowSum } from "#services/cli/demo/request-window.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { bundleOf, dial, svidOf } from "../harness/mesh-tls.ts";
import { twoRegions } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const planes = ["shop-eu-plane", "pay-eu-1-plane", "shop-us-plane"];
const watchedMs = 2_000;

/** Undefined only where it could not be brought up; then no test runs. */
let federation: TestFederation;
/** Windows of each region's users that an earlier test has looked at. */
const seen = new Map<string, number>();

beforeAll(async () => {
  federation = await TestFederation.start(twoRegions);
  await federation.addCaller("probe", { cluster: "shop-eu", region: "eu-west", namespace: "web", serviceAccount: "edge" });
  await eventually("users of both regions are served at home", async () => {
    const answers = [await federation.callThrough("eu-west-edge", "storefront.web", "/account"), await federation.callThrough("us-east-edge", "storefront.web", "/account")];
    return answers[0]?.region === "eu-west" && answers[1]?.region === "us-east" && answers.every(({ status }) => status === 200);
  });
  await federation.usersSettled(twoRegions.users.map(({ region }) => region));
  await usersSince();
}, 180_000);

afterAll(async () => {
  await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
}, 60_000);

/** What all users saw since the last call. */
async function usersSince(): Promise<WindowSum> {
  const windows = [];
  for (const { region } of twoRegions.users) {
    const users = await federation.users(region);
    windows.push(...users.windows.slice(seen.get(region) ?? 0));
    seen.set(region, users.windows.length);
  }
  return sumWindows(windows);
}

/** Fails with what the users saw, when any request failed since the last call of `usersSince`. */
async function expectNoFailure(): Promise<void> {
  const sum = await usersSince();
  const failures = [];
  for (const { region } of twoRegions.users) failures.push(...(await (await federation.users(region)).failures(new AbortController().signal)));
  expect(sum.failed, JSON.stringify(failures)).toBe(0);
  expect(sum.okTotal).toBeGreaterThan(60);
}

interface Stats {
  readonly plane?: { readonly connected: boolean };
  readonly discovery?: { readonly connected: boolean };
}

/** Writes a policy for the storefront with this time limit into a file; answers its path. */
function writePolicy(requestMs: number): string {
  const file = join(federation.place.directory, "slow.json");
  writeFileSync(file, JSON.stringify({ apiVersion: "atoll.dev/v1alpha1", kind: "TrafficPolicy", metadata: { namespace: "web", name: "patient" }, spec: { targetRef: { namespace: "web", name: "storefront" }, timeouts: { requestMs } } }));
  return file;
}

async function proxies(): Promise<readonly string[]> {
  return (await federation.list()).filter(({ kind }) => kind === "sidecar" || kind === "gateway").map(({ name }) => name);
}

async function isConnected(proxy: string): Promise<boolean> {
  const stats = await federation.admin<Stats>(proxy, "/stats");
  return (stats.plane ?? stats.discovery)?.connected === true;
}

it("names a plane that stands still, and shows what the others say", async () => {
  const { pid = 0 } = await federation.view("shop-us-plane");
  process.kill(pid, "SIGSTOP");
  try {
    const { code, stdout } = await federation.place.atoll("-o", "json", "status");
    expect(code).toBe(1);
    const report = JSON.parse(stdout) as { readonly federation?: object; readonly clusters: object; readonly problems: readonly string[] };
    expect(report.federation).toBeDefined();
    expect(Object.keys(report.clusters)).toEqual(["shop-eu", "pay-eu-1"]);
    expect(report.problems).toContainEqual(expect.stringMatching(/^the plane of shop-us does not answer: no answer within \d+\.\d s$/));
  } finally {
    process.kill(pid, "SIGCONT");
  }
});

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("a federation whose planes die one after the other", () => {
  it.each([
    ["the global plane", ["global"]],
    ["the bus too", ["bus"]],
    ["every cluster's plane too", planes],
  ])("serves on without one failure when %s is killed", async (_what, names) => {
    await usersSince();
    await federation.kill(...names);
    await pause(watchedMs);
    await expectNoFailure();
  });

  it("knows that it is alone", async () => {
    for (const proxy of await proxies()) await eventually(`${proxy} has noticed`, async () => !(await isConnected(proxy)));
  });

  it("starts a killed sidecar from disk, which serves as before", async () => {
    await federation.kill("probe");
    await federation.start("probe");
    expect(await federation.admin("probe", "/snapshot")).toMatchObject({ source: "disk", connected: false });
    expect(await federation.callThrough("probe", "storefront.web", "/account")).toMatchObject({ status: 200, region: "eu-west" });
  });

  it("starts a killed gateway from disk, which passes connections on as before", async () => {
    await federation.kill("shop-us-gateway");
    await federation.start("shop-us-gateway");
    expect(await federation.admin("shop-us-gateway", "/snapshot")).toMatchObject({ source: "disk", connected: false });
    const answer = await dial({
      port: await federation.port("shop-us-gateway", "gateway"),
      svid: await svidOf(federation.directoryOf("probe")),
      bundle: bundleOf(federation.directoryOf("shop-us-plane"), "shop.example"),
      servername: "p80.storefront.web.svc.shop.example",
    });
    expect(answer).toMatchObject({ kind: "answered" });
  });

  it("moves a damaged last known good file aside with a warning, and serves by the generation before it", async () => {
    await federation.kill("probe");
    const directory = join(federation.directoryOf("probe"), "lkg");
    const generations = readdirSync(directory).filter((name) => /^\d+\.(new|good)$/.test(name)).sort();
    const newest = generations.at(-1) ?? "";
    const text = readFileSync(join(directory, newest), "utf8");
    const damaged = `${String(Number(newest.slice(0, 10)) + 1).padStart(10, "0")}.new`;
    // As a disk that lost the second half of a write would leave it.
    const half = text.slice(0, text.length / 2);
    writeFileSync(join(directory, damaged), half, { mode: 0o600 });
    await federation.start("probe");
    expect(await federation.callThrough("probe", "storefront.web", "/account")).toMatchObject({ status: 200, region: "eu-west" });
    const aside = readdirSync(directory).find((name) => name.startsWith(`${damaged}.corrupt-`));
    expect(readFileSync(join(directory, aside ?? damaged), "utf8")).toBe(half);
    expect(aside).toBeDefined();
    expect(await federation.log("probe")).toMatch(/moved aside/);
  });

  it("goes on without one failure while the planes come back, and every proxy is with its plane again", async () => {
    await usersSince();
    await federation.start("bus", "global");
    await federation.start(...planes);
    for (const proxy of await proxies()) await eventually(`${proxy} is connected again`, () => isConnected(proxy), 45_000);
    await pause(watchedMs);
    await expectNoFailure();
  });

  it("takes in a newcomer again, who is served in its own region", async () => {
    await federation.addCaller("newcomer", { cluster: "shop-us", region: "us-east", namespace: "web", serviceAccount: "edge" });
    expect(await federation.callThrough("newcomer", "storefront.web", "/account")).toMatchObject({ status: 200, region: "us-east" });
  });

  it("says of a write which cluster has not got it, and when it and its proxies have", async () => {
    const { place } = federation;
    const file = writePolicy(14_000);
    const whole = await place.atoll("apply", "-f", file, "--wait");
    expect(whole.code, whole.stderr).toBe(0);
    for (const cluster of ["shop-eu", "pay-eu-1", "shop-us"]) expect(whole.stdout).toMatch(new RegExp(`^TrafficPolicy web/patient +${cluster} +done +([1-9][0-9]*) of \\1$`, "m"));

    await federation.kill("shop-us-plane");
    writePolicy(13_000);
    const partly = await place.atoll("apply", "-f", file, "--wait", "--timeout", "6s");
    expect(partly.code).toBe(1);
    expect(partly.stderr).toMatch(/^error ATOLL_ROLLOUT_INCOMPLETE: after 6 s 2 of 3 clusters have TrafficPolicy web\/patient: shop-us: not heard for \d+ s$/m);
    expect(partly.stdout).toMatch(/^TrafficPolicy web\/patient +shop-eu +done/m);
    // What is stored needs no second write.
    await federation.start("shop-us-plane");
    const healed = await place.atoll("-o", "json", "wait", "tp/web/patient");
    expect(healed.code, healed.stderr).toBe(0);
    const [{ clusters }] = JSON.parse(healed.stdout) as readonly [{ readonly clusters: readonly { readonly cluster: string; readonly state: string; readonly proxies: { readonly done: number; readonly total: number } }[] }];
    expect(clusters.map(({ cluster, state }) => `${cluster} ${state}`)).toEqual(["pay-eu-1 done", "shop-eu done", "shop-us done"]);
    // The proxies that the killed plane had are counted, all of them, though they come back one after the other.
    const before = /^TrafficPolicy web\/patient +shop-us +done +([0-9]+) of/m.exec(whole.stdout)?.[1];
    expect(clusters[2]?.proxies).toEqual({ done: Number(before), total: Number(before) });
  });

  it("waits with a write for a sidecar that was killed, and for none that was shut down", async () => {
    const { place } = federation;
    await federation.stop("newcomer");
    const without = await place.atoll("apply", "-f", writePolicy(12_000), "--wait", "--timeout", "10s");
    expect(without.code, without.stderr).toBe(0);
    await federation.start("newcomer");
    await eventually("the newcomer is with its plane again", () => isConnected("newcomer"), 45_000);
    await federation.kill("newcomer");
    const partly = await place.atoll("apply", "-f", writePolicy(11_000), "--wait", "--timeout", "6s");
    expect(partly.code).toBe(1);
    expect(partly.stderr).toMatch(/^error ATOLL_ROLLOUT_INCOMPLETE: after 6 s 2 of 3 clusters have TrafficPolicy web\/patient: shop-us: proxy newcomer: not heard for \d+ s$/m);
    await federation.start("newcomer");
    const healed = await place.atoll("wait", "tp/web/patient");
    expect(healed.code, healed.stderr).toBe(0);
  });
});
