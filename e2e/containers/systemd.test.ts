import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.ts";
import { home } from "../harness/test-federation.ts";
import { findContainerEngine } from "./container-engine.ts";
import { buildServersImage, serversImage } from "./images.ts";
import { PlacedContainer } from "./placed-container.ts";

const { client, leftOut } = await findContainerEngine();

const withinMs = 90_000;
/** Below 2 systemd itself says OK; the programs need the network and, on Node, writable code pages. */
const exposureMax = 2;
const clusterUnit = "atoll-cluster@shop-eu-plane";
const gatewayUnit = "atoll-proxy@shop-eu-gateway";
const units = ["atoll-etcd", "atoll-nats", "atoll-global", clusterUnit, gatewayUnit];
/** The example's machine that carries the most, and where `atoll bootstrap` writes its files on it. */
const host = "eu-1";
const out = "/root/federation";

/** Undefined only where it could not be started; then no test runs. */
let machine: StartedTestContainer;

/** Runs a shell command on the machine. @throws Error with what it printed */
async function run(command: string): Promise<string> {
  const { exitCode, output } = await machine.exec(["bash", "-euo", "pipefail", "-c", command]);
  if (exitCode !== 0) throw new Error(`${command}: ${output}`);
  return output.trim();
}

/** `atoll …` as the written instructions have an operator run it; what it prints goes to `file`. */
async function atoll(words: string, file = "/tmp/printed"): Promise<void> {
  const command = `/opt/atoll/node_modules/.bin/node /opt/atoll/bin/atoll.cjs --context ${out}/context.json ${words}`;
  await eventually(words, () => run(`cd ${out} && umask 077 && ${command} >${file} && echo done`), withinMs);
}

/** Runs the machine's own script, which starts what has what it needs, with a token that it waits for. */
async function install(token?: { readonly words: string; readonly name: string }): Promise<string> {
  const folder = `${out}/hosts/${host}`;
  if (token !== undefined) {
    await run(`mkdir -p ${folder}/tokens`);
    await atoll(`token create ${token.words}`, `${folder}/tokens/${token.name}`);
  }
  return await run(`sh ${folder}/install.sh`);
}

/** Waits until a unit runs and its page on loopback answers. */
async function serves(unit: string, page: string): Promise<void> {
  await eventually(`${unit} serves`, () => run(`systemctl is-active --quiet ${unit} && ATOLL_HEALTH=${page} /opt/atoll/infra/images/health && echo yes`), withinMs).catch(async (error: unknown) => {
    throw new Error(await run(`journalctl --no-pager -n 20 -u ${unit} || true`), { cause: error });
  });
}

// Each step rests on the one before it: the order of the tests is that of the written instructions.
describe.skipIf(client === undefined)(`the systemd units, started under systemd in a container${leftOut}`, () => {
  beforeAll(async () => {
    await buildServersImage();
    machine = await new PlacedContainer(serversImage, [])
      .bootsSystemd([{ source: home, target: "/opt/atoll", mode: "ro" }])
      .withPullPolicy({ shouldPull: () => "never" })
      .start();
    await eventually("systemd has booted", async () => (await run("systemctl is-system-running || true")) === "running", withinMs);
    await run("systemctl mask --now etcd nats-server nginx");
    // The machine has its own address of the example; the other machines are silent.
    await run("ip address add 10.1.0.10/32 dev lo");
    await run(`/opt/atoll/node_modules/.bin/node /opt/atoll/bin/atoll.cjs bootstrap /opt/atoll/infra/federation.yaml --out ${out} --init`);
  }, 900_000);

  afterAll(async () => {
    await (machine as StartedTestContainer | undefined)?.stop({ remove: true, timeout: 10_000 });
  }, 60_000);

  it("are put in place by install.sh, which starts the engines and the global plane", async () => {
    expect(await install()).toMatch(new RegExp(`waits: ${clusterUnit}`));
    await serves("atoll-global", "7402/metrics");
    // Written once the plane leads.
    await eventually("there is an admin context", () => run(`cp /var/lib/atoll/global/admin-context.json ${out}/ && echo yes`), withinMs);
    for (const file of ["10-regions", "20-clusters"]) await atoll(`apply -f ${out}/resources/${file}.yaml`);
  });

  it("start a cluster's plane and its gateway, which join by token", async () => {
    expect(await install({ words: "cluster:shop-eu", name: "shop-eu-plane.join" })).toContain(`started: ${clusterUnit}`);
    await serves(clusterUnit, "7421/metrics");
    expect(await install({ words: "gateway --cluster shop-eu", name: "shop-eu-gateway" })).toContain(`started: ${gatewayUnit}`);
    await serves(gatewayUnit, "15010/ready");
    expect(await run(`ls ${out}/hosts/${host}/tokens`)).toBe("");
  });

  it("have a small attack surface, as systemd judges it", async () => {
    const scores = new Map<string, number>();
    for (const unit of units) {
      const line = await run(`systemd-analyze security ${unit}.service | tail -n 1`);
      console.log(line);
      scores.set(unit, Number(/: (\d+\.\d)/.exec(line)?.[1]));
    }
    expect([...scores.values()].filter((score) => !(score <= exposureMax))).toEqual([]);
    expect(scores.size).toBe(units.length);
  });

  it("have systemd start again what was killed", async () => {
    const pidOf = (unit: string): Promise<string> => run(`systemctl show --property MainPID --value ${unit}`);
    for (const [unit, page] of [[clusterUnit, "7421/metrics"], [gatewayUnit, "15010/ready"]] as const) {
      const before = await pidOf(unit);
      await run(`systemctl kill --signal SIGKILL ${unit}`);
      await eventually(`${unit} has another process`, async () => !["0", before].includes(await pidOf(unit)), withinMs);
      await serves(unit, page);
    }
  });

  it("stop in order", async () => {
    await run(`systemctl stop ${units.toReversed().map((unit) => `${unit}.service`).join(" ")}`);
    for (const unit of units) expect(await run(`systemctl show --property Result --value ${unit}`), unit).toBe("success");
  });
});
