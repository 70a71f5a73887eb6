import { spawn, type ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, openSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { readPeerCertificate } from "#federation/runtime/peer-certificate.ts";
import { layOutMachines } from "#services/cli/bootstrap/machine-layout.ts";
import { enginePrograms } from "#services/cli/bootstrap/systemd-units.ts";
import { isFree } from "#services/cli/up/port-block.ts";
import { FederationKeys } from "#services/global/federation-keys.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { home, Place } from "../harness/test-federation.ts";
import { isWellBut, sharedOldEtcd } from "../harness/well-but.ts";

const etcd = await findTestEngine("etcd");
const natsServer = await findTestEngine("nats-server");
// Addresses of one's own besides 127.0.0.1 need no setting up on Linux only.
const canRehearse = process.platform === "linux" && etcd !== undefined && natsServer !== undefined;
/** The last one is dialled by a name. */
const hosts = { "eu-1": "127.1.0.1", "eu-2": "127.1.0.2", "us-1": "localhost" } as const;
const restartPauseMs = 200;
const stepWithinMs = 90_000;

/** A service of systemd's, as far as the units need it: it runs, and is started again when it ends. */
class Unit {
  readonly #words: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: number;
  #child: ChildProcess | undefined;
  #isWanted = true;

  constructor(words: readonly string[], env: NodeJS.ProcessEnv, logFile: string) {
    this.#words = words;
    this.#env = env;
    this.#log = openSync(logFile, "a");
    this.#start();
  }

  #start(): void {
    const [program = "", ...args] = this.#words;
    this.#child = spawn(program, args, { env: this.#env, stdio: ["ignore", this.#log, this.#log] });
    this.#child.once("exit", () => void this.#again());
  }

  async #again(): Promise<void> {
    await pause(restartPauseMs);
    if (this.#isWanted) this.#start();
  }

  /** What `systemctl kill --signal=HUP` does. */
  hangUp(): void {
    this.#child?.kill("SIGHUP");
  }

  /** As it ends with its machine, until that is back. */
  loseMachine(): void {
    this.#isWanted = false;
    this.#child?.kill("SIGKILL");
  }

  machineReturns(): void {
    this.#isWanted = true;
    this.#start();
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const late = pause(10_000).then(() => child.kill("SIGKILL"));
    await Promise.race([ended, late]);
    await ended;
  }
}

describe.skipIf(!canRehearse)("everything that `atoll bootstrap` writes, on three addresses of this machine, one of them a name, with real engines", () => {
  const place = new Place();
  const out = join(place.directory, "out");
  const tools = join(place.directory, "tools");
  const units = new Map<string, Unit>();
  const apps: Server[] = [];
  let portOffset = 0;

  beforeAll(async () => {
    const appPorts = [await startApp("front"), await startApp("ledger")];
    portOffset = await findOffset(appPorts);
    writeFileSync(join(place.directory, "fed.yaml"), federation(portOffset, appPorts));
    mkdirSync(tools);
    // What the instructions call, on machines that are directories here.
    tool("ssh", 'mkdir -p "$REHEARSAL/${1#root@}"; cd "$REHEARSAL/${1#root@}"; shift; exec sh -c "$*"');
    tool("scp", 'exec cp "${1#root@*:}" "$2"');
    tool("npx", `shift; exec ${JSON.stringify(process.execPath)} ${JSON.stringify(join(home, "bin/atoll.cjs"))} "$@"`);
  }, 60_000);

  afterAll(async () => {
    // Those who call first, so that nobody waits for what has gone.
    for (const unit of [...units.values()].reverse()) await unit.stop();
    for (const app of apps) app.close();
    if (process.env["ATOLL_KEEP_SCENARIOS"] === undefined) place[Symbol.dispose]();
  }, 120_000);

  it("is written with keys that only their owner reads", async () => {
    const written = await place.atoll("bootstrap", join(place.directory, "fed.yaml"), "--out", out, "--init", "--home", home);
    expect(written, written.stderr).toMatchObject({ code: 0 });
    const secrets = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".key"));
    expect(secrets.length).toBeGreaterThan(5);
    for (const path of secrets) expect(statSync(join(out, path)).mode & 0o077, path).toBe(0);
    expect(secrets.filter((path) => path.startsWith("hosts/")).some((path) => path.includes("federation-root"))).toBe(false);
  });

  it("comes up by the written instructions, word for word and in their order", async () => {
    const steps = [...readFileSync(join(out, "README.md"), "utf8").matchAll(/```sh\n([\s\S]*?)\n```/g)].map((match) => match[1] ?? "");
    expect(steps.length).toBeGreaterThan(6);
    for (const line of steps.flatMap((step) => step.split("\n"))) {
      let said = "";
      // Whoever follows them waits until what was just started answers, and tries again.
      await eventually(line, async () => {
        const result = await sh(line);
        said = result.output;
        for (const [address, unit] of startedBy(said, line)) start(address, unit);
        if (!isWellBut(result, sharedOldEtcd)) throw new Error(said);
        return true;
      }, stepWithinMs);
    }
    expect([...units.keys()].length).toBe(13);
  }, 400_000);

  it("carries a request from one trust domain to the other, across machines", async () => {
    await eventually("the ledger answers", async () => {
      const { status, body } = await call(15_001 + portOffset + 1_000, { host: "ledger.core.svc.pay.example" });
      return status === 200 && body === "ledger";
    }, 60_000);
    await eventually("all is well", async () => isWellBut(await sh("npx atoll --context context.json check"), sharedOldEtcd), 60_000);
  }, 150_000);

  it("is installed again without changing anything", async () => {
    const again = await sh(`ssh root@${hosts["eu-1"]} sh atoll-eu-1/install.sh`);
    expect(again).toMatchObject({ code: 0 });
    expect(again.output).not.toContain("changed:");
    expect(again.output).not.toContain("waits:");
  });

  it("has engines take up certificates that the written script renews, without a restart, and again whenever it is run", async () => {
    const key = engineFile("eu-1.key");
    ageEngine();
    const renewed = await sh("sh renew-engines.sh");
    expect(renewed).toMatchObject({ code: 0, output: expect.stringMatching(/^eu-1: renewed, good until \d{4}-\d\d-\d\d\nus-1: good until \d{4}-\d\d-\d\d\n(reload: atoll-nats\.service\n){2}$/) as string });
    expect(engineFile("eu-1.key")).toBe(key);
    await enginesShowTheirs();
    expect((await sh("sh renew-engines.sh")).output).not.toContain("renewed");
    await eventually("all is well", async () => isWellBut(await sh("npx atoll --context context.json check"), sharedOldEtcd), 60_000);
  }, 150_000);

  it("has the global plane issue by a certificate that was renewed where the root's key is, without a restart", async () => {
    expect(await sh("npx atoll renew-issuing --force")).toMatchObject({ code: 0, output: expect.stringContaining("renewed") as string });
    ageEngine();
    const brought = await sh("sh renew-engines.sh");
    expect(brought).toMatchObject({ code: 0, output: expect.stringContaining("eu-1: renewed") as string });
    expect(brought.output).not.toContain("changed:");
    const renewed = readFileSync(join(out, "keys", "federation-issuing.pem"), "utf8");
    const held = join(place.directory, "machines", "eu-1", "var/lib/atoll/global/federation-issuing.pem");
    expect(readFileSync(held, "utf8")).toBe(renewed);
    expect(statSync(held).mode & 0o077).toBe(0);
    const { output } = await sh("npx atoll --context context.json -o json status");
    const { federation: { authorities } } = JSON.parse(output) as { readonly federation: { readonly authorities: readonly { readonly role: string; readonly notAfterMs: number }[] } };
    expect(authorities.find(({ role }) => role === "issuing")?.notAfterMs).toBe(new X509Certificate(renewed).validToDate.getTime());
    // The engine's leads to the root by the new one, those of all who talk with it by the one before.
    expect(engineFile("eu-1.pem")).toContain(renewed.trim());
    await enginesShowTheirs();
    await eventually("all is well", async () => isWellBut(await sh("npx atoll --context context.json check"), sharedOldEtcd), 60_000);
  }, 150_000);

  it("has a check from elsewhere name what went with a machine and whom that leaves alone, and nothing once it is back", async () => {
    const lost = [...units].flatMap(([key, unit]) => (key.startsWith(`${hosts["us-1"]} `) ? [unit] : []));
    expect(lost.length).toBeGreaterThan(4);
    for (const unit of lost) unit.loseMachine();
    const expected = [/the plane of pay-us does not answer/, /the global plane has not heard pay-us for/, /prox(y|ies) in shop-eu \(.+\) ha(s|ve) reached no gateway of pay-us for/];
    await eventually("check names the planes, their silence and the gateways", async () => {
      const { code, output } = await sh("npx atoll --context context.json check");
      return code === 1 && expected.every((words) => words.test(output));
    }, 60_000);
    expect((await sh("npx atoll --context context.json status")).output).toMatch(/core\/ledger +pay\.example +pay-us 1\/1 \(as of \d+ s ago\)/);
    for (const unit of lost) unit.machineReturns();
    await eventually("all is well", async () => isWellBut(await sh("npx atoll --context context.json check"), sharedOldEtcd), stepWithinMs);
  }, 200_000);

  function engineFile(name: string): string {
    return readFileSync(join(out, "keys", "engines", name), "utf8");
  }

  /** As if its certificate had lived for two thirds of its life. */
  function ageEngine(): void {
    FederationKeys.load(join(out, "keys")).writeEngine("eu-west", "eu-1", [hosts["eu-1"]], systemClock.nowMs() - 20 * 86_400_000);
  }

  /** Once nats-server has been told, as it is where there is systemd. */
  async function enginesShowTheirs(): Promise<void> {
    units.get(`${hosts["eu-1"]} atoll-nats.service`)?.hangUp();
    const { fingerprint256 } = new X509Certificate(engineFile("eu-1.pem"));
    const tls = { caPem: engineFile("ca.pem"), certificatePem: engineFile("etcd-administrator.pem"), privateKeyPem: engineFile("etcd-administrator.key") };
    for (const [port, speaksFirst] of [[2379, false], [4222, true]] as const) {
      await eventually("the engine shows it", async () => (await readPeerCertificate({ host: hosts["eu-1"], port: port + portOffset, tls, speaksFirst })).fingerprint256 === fingerprint256, 60_000);
    }
  }

  async function startApp(word: string): Promise<number> {
    const app = createServer((_incoming, answer) => void answer.end(word));
    apps.push(app);
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    return (app.address() as AddressInfo).port;
  }

  function federation(offset: number, [front, ledger]: readonly number[]): string {
    const host = (name: keyof typeof hosts, region: string, more: number): string => `    - { name: ${name}, address: ${hosts[name]}${hosts[name] === "localhost" ? ", listen: 127.0.0.1" : ""}, region: ${region}, portOffset: ${offset + more}, root: ${join(place.directory, "machines", name)} }\n`;
    return `apiVersion: atoll.dev/v1alpha1
kind: Federation
metadata: { name: rehearsal }
spec:
  trustDomain: fed.example
  regions: [{ name: eu-west }, { name: us-east }]
  hosts:
${host("eu-1", "eu-west", 0)}${host("eu-2", "eu-west", 1_000)}${host("us-1", "us-east", 2_000)}  clusters:
    - { name: shop-eu, region: eu-west, trustDomain: shop.example }
    - { name: shop-us, region: us-east, trustDomain: shop.example }
    - { name: pay-us, region: us-east, trustDomain: pay.example }
  services:
    - { name: front, namespace: web, appPort: ${front}, instances: [{ cluster: shop-eu, host: eu-2 }] }
    - { name: ledger, namespace: core, appPort: ${ledger}, instances: [{ cluster: pay-us }], consumers: [shop.example] }
  relationships:
    - { name: shop-calls-pay, caller: { trustDomain: shop.example, principals: [ns/web/sa/front] }, callee: { trustDomain: pay.example, services: [core/ledger] } }
`;
  }

  /** An offset at which every port that the machines would listen on is free. */
  async function findOffset(appPorts: readonly number[]): Promise<number> {
    for (let offset = 20_000; offset < 30_000; offset += 17) {
      const outcome = parseFederation(federation(offset, appPorts), "fed.yaml");
      if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
      const { machines } = layOutMachines(outcome.value, home);
      const ports = machines.flatMap(({ processes, engines }) => [processes.map(({ config }) => [config["listen"], config["ports"]]), engines]).flatMap(numbersIn);
      // Machines with addresses of their own may have the same port.
      const free = await Promise.all([...new Set(ports)].map(isFree));
      if (free.every(Boolean)) return offset;
    }
    throw new Error("no ports are free");
  }

  function tool(name: string, text: string): void {
    writeFileSync(join(tools, name), `#!/bin/sh\nset -eu\n${text}\n`, { mode: 0o755 });
  }

  function sh(line: string): Promise<{ readonly code: number; readonly output: string }> {
    return new Promise((resolve) => {
      const env = { ...place.env, PATH: `${tools}:${process.env["PATH"]}`, REHEARSAL: join(place.directory, "remote") };
      const child = spawn("sh", ["-c", line], { cwd: out, env, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => (output += part.toString()));
      child.once("close", (code) => resolve({ code: code ?? -1, output }));
    });
  }

  /** Which units the script on which machine says to start. */
  function startedBy(output: string, line: string): readonly (readonly [string, string])[] {
    const address = /root@([\w.]+)/.exec(line)?.[1];
    return address === undefined ? [] : [...output.matchAll(/^start: (\S+)$/gm)].map((match) => [address, match[1] ?? ""] as const);
  }

  /** Runs a unit's own ExecStart. */
  function start(address: string, unit: string): void {
    const key = `${address} ${unit}`;
    if (units.has(key)) return;
    const name = Object.entries(hosts).find(([, candidate]) => candidate === address)?.[0] ?? "";
    const [, program = "", instance = ""] = /^(atoll-[a-z]+@?)(.*)\.service$/.exec(unit) ?? [];
    const text = readFileSync(join(place.directory, "remote", address, `atoll-${name}`, "systemd", `${program}.service`), "utf8").replaceAll("%i", instance);
    const valueOf = (field: string): string | undefined => new RegExp(`^${field}=(.*)$`, "m").exec(text)?.[1];
    const environmentFile = valueOf("EnvironmentFile");
    const argumentsOf = environmentFile === undefined ? "" : (/^ETCD_ARGS="(.*)"$/m.exec(readFileSync(environmentFile, "utf8"))?.[1] ?? "");
    const words = (valueOf("ExecStart") ?? "").replace("$ETCD_ARGS", argumentsOf).split(" ");
    const ours: Readonly<Record<string, string | undefined>> = { [enginePrograms.etcd]: etcd, [enginePrograms.natsServer]: natsServer };
    const [command = "", ...rest] = words;
    expect(existsSync(ours[command] ?? command), command).toBe(true);
    units.set(key, new Unit([ours[command] ?? command, ...rest], place.env, join(place.directory, `${name}-${unit}.log`)));
  }
});

function numbersIn(value: unknown): readonly number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}
