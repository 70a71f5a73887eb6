import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { livingProcesses } from "#services/cli/up/running.ts";
import { isSameProcess } from "#services/cli/up/process-identity.ts";
import { eventually } from "../harness/eventually.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const sidecar = "shop-eu-catalog-proxy";

/** Undefined only where they could not be brought up; then no test runs. */
let both: readonly [TestFederation, TestFederation] | undefined;

beforeAll(async () => {
  const started = await Promise.allSettled([TestFederation.start(oneCluster), TestFederation.start(oneCluster)]);
  const [first, second] = started.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : undefined));
  if (first !== undefined && second !== undefined) {
    both = [first, second];
    return;
  }
  await first?.[Symbol.asyncDispose]();
  await second?.[Symbol.asyncDispose]();
  for (const outcome of started) if (outcome.status === "rejected") throw outcome.reason;
}, 120_000);

afterAll(async () => {
  for (const federation of both ?? []) await federation[Symbol.asyncDispose]();
}, 60_000);

function federations(): readonly [TestFederation, TestFederation] {
  if (both === undefined) throw new Error("they are not up");
  return both;
}

/** Processes of any kind whose command line names the directory, by what the system says. Linux only: elsewhere what was recorded has to do. */
function processesNaming(directory: string): readonly string[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return command.includes(directory) ? [`${pid} ${command}`] : [];
    } catch {
      return [];
    }
  });
}

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("two federations that are started at the same moment on one machine", () => {
  it("both serve, on ports of their own", async () => {
    const ports = [];
    for (const federation of federations()) {
      await eventually("it serves", async () => (await federation.callThrough(sidecar, "catalog.web", "/items")).status === 200);
      for (const view of await federation.list()) ports.push(...Object.values(view.ports));
    }
    expect(new Set(ports).size).toBe(ports.length);
  });

  it("say to `atoll up` that they run already, and start nothing twice", async () => {
    const [first] = federations();
    const before = livingProcesses(first.place.dataDir).map(({ pid }) => pid);
    const up = await first.place.atoll("up");
    expect(up).toMatchObject({ code: 0 });
    expect(up.stdout).toContain("already runs");
    expect(livingProcesses(first.place.dataDir).map(({ pid }) => pid)).toEqual(before);
  });

  it("name the port that is taken when one is told to use the other's", async () => {
    const [first, second] = federations();
    const taken = await second.port("global", "api");
    const base = taken - (taken % 200);
    const up = await first.place.atoll("--name", "third", "--data", join(first.place.directory, "third"), "up", "--port-base", String(base));
    expect(up.code).toBe(1);
    expect(up.stderr).toMatch(/ATOLL_PORT_TAKEN: port \d+ is in use/);
    expect(livingProcesses(join(first.place.directory, "third"))).toEqual([]);
  });

  it("end one by one: `atoll down` leaves no process and no file outside its directory, and the other goes on", async () => {
    const [first, second] = federations();
    const processes = livingProcesses(first.place.dataDir);
    expect(processes.length).toBeGreaterThan(5);
    const down = await first.place.atoll("down");
    expect(down).toMatchObject({ code: 0 });
    expect(processes.filter(({ pid, identity }) => isSameProcess(pid, identity))).toEqual([]);
    expect(processesNaming(first.place.dataDir)).toEqual([]);
    expect(readdirSync(first.place.homeDirectory)).toEqual([]);
    expect(readdirSync(first.place.dataDir).filter((name) => name.endsWith(".sock"))).toEqual([]);
    expect((await second.callThrough(sidecar, "catalog.web", "/items")).status).toBe(200);
  });

  it("come back from their own directory with `atoll up`, and serve by what they knew", async () => {
    const [first] = federations();
    expect(await first.place.atoll("up")).toMatchObject({ code: 0 });
    const got = await first.place.atoll("-o", "json", "get", "services", "--cluster", "shop-eu");
    expect(got).toMatchObject({ code: 0 });
    expect(JSON.stringify(JSON.parse(got.stdout))).toContain("catalog");
    expect(await first.place.atoll("down")).toMatchObject({ code: 0 });
  });
});
