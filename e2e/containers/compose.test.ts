import { execFile, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planeKeyPrefix } from "#federation/model/plane-store.ts";
import { eventually } from "../harness/eventually.ts";
import { home } from "../harness/test-federation.ts";
import { isWellBut, sharedOldEtcd } from "../harness/well-but.ts";
import { findCompose, findContainerEngine } from "./container-engine.ts";
import { allowed, engine, etcdRights, planeOf, refused, type EtcdCaller, type EtcdRights } from "./etcd-rights.ts";
import { buildAtollImage, buildServersImage, serversImage } from "./images.ts";

const run = promisify(execFile);
const { client, leftOut: noEngine } = await findContainerEngine();
const compose = await findCompose();
const leftOut = client === undefined ? noEngine : compose.leftOut;
const withinMs = 120_000;
const project = "isles";
const members = ["eu-1", "eu-2", "eu-3"] as const;
/** Where each cluster's plane is, with the members of its etcd, and whose keys are not its own. */
const stores = [
  { cluster: "shop-eu", machine: "eu-1", endpoints: ["https://10.231.1.10:2379", "https://10.231.1.20:2379", "https://10.231.1.30:2379"], neighbour: "global" },
  { cluster: "shop-us", machine: "us-1", endpoints: ["https://10.231.2.10:2379"], neighbour: "shop-eu" },
  { cluster: "shop-ap", machine: "ap-1", endpoints: ["https://10.231.3.10:2379"], neighbour: "shop-eu" },
] as const;

/** What callers saw while something was done. */
interface Seen {
  readonly ok: Readonly<Record<string, number>>;
  readonly failed: readonly string[];
}

// Calls the catalog through the sidecar of its machine until its input ends, one request after the other, and prints what came of them.
const callers = `
const http = require("node:http");
const seen = { ok: {}, failed: [] };
let isOver = false;
process.stdin.resume().once("end", () => { isOver = true; });
const call = () => new Promise((resolve) => {
  const request = http.get({ host: "127.0.0.1", port: 15001, headers: { host: "catalog.web" }, timeout: 10000 }, (answer) => {
    const region = String(answer.headers["x-region"]);
    if (answer.statusCode === 200) seen.ok[region] = (seen.ok[region] ?? 0) + 1;
    else seen.failed.push(String(answer.statusCode));
    answer.resume().once("close", resolve);
  });
  request.once("timeout", () => request.destroy(new Error("no answer")));
  request.once("error", (error) => { seen.failed.push(error.message); resolve(); });
});
(async () => { while (!isOver) { await call(); await new Promise((resolve) => setTimeout(resolve, 20)); } console.log(JSON.stringify(seen)); })();
`;

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(client === undefined || compose.words.length === 0)(`the compose file that \`atoll bootstrap\` writes${leftOut}`, () => {
  const out = mkdtempSync(join(tmpdir(), "atoll-compose-"));
  const atoll = [process.execPath, join(home, "bin/atoll.cjs")];
  let env: NodeJS.ProcessEnv = {};

  beforeAll(async () => {
    await buildServersImage();
    env = { ...process.env, COMPOSE: compose.words.join(" "), ATOLL: atoll.join(" "), ATOLL_IMAGE: await buildAtollImage(), ETCD_IMAGE: serversImage, NATS_IMAGE: serversImage };
    await run(atoll[0] ?? "", [...atoll.slice(1), "bootstrap", join(home, "infra/compose/federation.yaml"), "--out", out, "--init", "--compose"], { env });
    copyFileSync(join(home, "infra/compose/apps.yaml"), join(out, "apps.yaml"));
  }, 1_800_000);

  afterAll(async () => {
    await script("down").catch((error: unknown) => console.error(error));
    rmSync(out, { recursive: true, force: true });
  }, 180_000);

  it("comes up by its script, with applications beside it, and every program says that it is well", async () => {
    await script();
    await composed("-f", "apps.yaml", "up", "-d", "eu-2.app", "us-2.app", "ap-1.app");
    await eventually("all are healthy", async () => {
      const states = await containers();
      const ill = states.filter(({ state, status }) => state !== "running" || /health: starting|unhealthy/.test(status));
      if (ill.length > 0) throw new Error(ill.map(({ name, status }) => `${name} ${status}`).join(", "));
      // Machines, their engines, our programs, the applications.
      return states.length === 6 + 10 + 10 + 3;
    }, withinMs);
    await eventually("all is well, but for what Debian's etcd forgets to judge", async () => {
      const checked = await run(atoll[0] ?? "", [...atoll.slice(1), "--context", join(out, "context.json"), "check"], { env }).then(
        ({ stdout }) => ({ code: 0, output: stdout }),
        ({ code, stdout }: { readonly code: number; readonly stdout?: string }) => ({ code, output: stdout ?? "" }),
      );
      if (!isWellBut(checked, sharedOldEtcd)) throw new Error(checked.output);
      return true;
    }, withinMs);
  }, 900_000);

  it("has every etcd let its planes alone in, each to its own keys", async () => {
    for (const { cluster, machine, endpoints, neighbour } of stores) {
      for (const endpoint of endpoints) expect(await rights(machine, cluster, endpoint, neighbour), `${cluster} at ${endpoint}`).toEqual({ plane: [allowed, refused], engine: [refused, refused] });
    }
    // The plane of another region is no user there.
    const [eu, us] = stores;
    expect((await rights(us.machine, us.cluster, eu.endpoints[0], eu.cluster)).plane).toEqual([refused, refused]);
  }, 120_000);

  it("starts again what its script began, and changes nothing that runs", async () => {
    const before = (await containers()).map(({ name, id }) => `${name} ${id}`);
    await script("renew");
    await script();
    expect((await containers()).map(({ name, id }) => `${name} ${id}`)).toEqual(before);
  }, 300_000);

  it("serves users of one region from another, and takes what operators declare, while any one of the three machines with etcd and nats-server has lost both", async () => {
    const seen = await whileCalling(async () => {
      for (const member of members) {
        const lost = [`${member}.etcd`, `${member}.nats`].map(containerName);
        await run("docker", ["kill", ...lost], { env });
        writeFileSync(join(out, "extra.yaml"), `apiVersion: atoll.dev/v1alpha1\nkind: Region\nmetadata: { name: after-${member} }\nspec: { displayName: after ${member} }\n`);
        await eventually(`a region is declared without ${member}`, () => cli("apply", "-f", "extra.yaml").then(() => true), withinMs);
        await run("docker", ["start", ...lost], { env });
        await eventually(`${member} accepts connections again`, async () => (await containers()).some(({ name, status }) => name === containerName(member) && status.includes("(healthy)")), withinMs);
      }
    });
    expect(seen.failed).toEqual([]);
    expect(Object.values(seen.ok).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(50);
    expect(Object.keys(seen.ok).filter((region) => !["us-east", "ap-south"].includes(region))).toEqual([]);
    const { stdout } = await cli("get", "regions");
    for (const member of members) expect(stdout).toContain(`after-${member}`);
  }, 600_000);

  it("has an etcd that was made anew with its region know its planes again", async () => {
    await script("down", "us-east");
    await script("up", "us-east");
    const [, { cluster, machine, endpoints, neighbour }] = stores;
    expect(await rights(machine, cluster, endpoints[0], neighbour)).toEqual({ plane: [allowed, refused], engine: [refused, refused] });
  }, 600_000);

  it("leaves nothing when it is taken down", async () => {
    await script("down");
    const label = `label=com.docker.compose.project=${project}`;
    for (const what of [["ps", "--all"], ["volume", "ls"], ["network", "ls"]]) expect((await run("docker", [...what, "--quiet", "--filter", label], { env })).stdout, what.join(" ")).toBe("");
  }, 300_000);

  /** What a plane, and its machine's engine, may do in an etcd below the plane's own prefix and below another's. */
  async function rights(machine: string, cluster: string, endpoint: string, neighbour: string): Promise<{ readonly plane: readonly EtcdRights[]; readonly engine: readonly EtcdRights[] }> {
    const ask = (caller: EtcdCaller): Promise<readonly EtcdRights[]> => etcdRights(containerName(`${machine}.${cluster}-plane`), caller, endpoint, [planeKeyPrefix(cluster), planeKeyPrefix(neighbour)]);
    return { plane: await ask(planeOf(cluster)), engine: await ask(engine) };
  }

  function script(...args: readonly string[]): Promise<unknown> {
    return run("sh", [join(out, "compose.sh"), ...args], { env, maxBuffer: 64 * 1024 * 1024 });
  }

  function composed(...args: readonly string[]): Promise<unknown> {
    const [program = "", ...words] = compose.words;
    return run(program, [...words, "-p", project, "-f", "compose.yaml", ...args], { cwd: out, env });
  }

  function cli(...args: readonly string[]): Promise<{ readonly stdout: string }> {
    return run(atoll[0] ?? "", [...atoll.slice(1), "--context", "context.json", ...args], { cwd: out, env });
  }

  async function whileCalling(work: () => Promise<void>): Promise<Seen> {
    await eventually("the catalog answers", async () => Object.keys((await calls(() => Promise.resolve())).ok).length > 0, withinMs);
    return calls(work);
  }

  async function calls(work: () => Promise<void>): Promise<Seen> {
    const child = spawn("docker", ["exec", "--interactive", containerName("eu-2.app"), "node", "--eval", callers], { env, stdio: ["pipe", "pipe", "inherit"] });
    let printed = "";
    child.stdout.on("data", (part: Buffer) => (printed += part.toString()));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    try {
      await work();
    } finally {
      child.stdin.end();
      await closed;
    }
    return JSON.parse(printed) as Seen;
  }

  /** Compose's second version has another separator than its first. */
  function containerName(service: string): string {
    const separator = compose.words.length === 1 ? "_" : "-";
    return [project, service, "1"].join(separator);
  }

  async function containers(): Promise<readonly { readonly name: string; readonly id: string; readonly state: string; readonly status: string }[]> {
    const { stdout } = await run("docker", ["ps", "--all", "--filter", `label=com.docker.compose.project=${project}`, "--format", "{{.Names}}|{{.ID}}|{{.State}}|{{.Status}}"], { env });
    return stdout.trim().split("\n").map((line) => line.split("|")).map(([name = "", id = "", state = "", status = ""]) => ({ name, id, state, status })).sort((a, b) => a.name.localeCompare(b.name));
  }
});
