import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFederationFile } from "#services/cli/up/federation-file.ts";
import { isSameProcess } from "#services/cli/up/process-identity.ts";
import { livingProcesses } from "#services/cli/up/running.ts";
import { TestWorkload } from "#proxy/workload-api/workload-client-fixture.ts";
import { eventually } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { Place } from "../harness/test-federation.ts";

/** An application of somebody who never heard of Atoll but for the variables that it reads: it answers, and passes requests below /via/ on. */
const server = `
import { createServer, request } from "node:http";
const { PORT, ATOLL_OUTBOUND, ATOLL_REGION, WORD } = process.env;
createServer((incoming, answer) => {
  const [, via, host] = incoming.url.split("/");
  if (via !== "via") return answer.end(WORD + " from " + ATOLL_REGION);
  request(ATOLL_OUTBOUND + "/", { headers: { host } }, (inner) => {
    answer.statusCode = inner.statusCode;
    inner.pipe(answer);
  }).end();
}).listen(Number(PORT), "127.0.0.1");
`;

/** A service that speaks no HTTP: it says a line, and sends back whatever it hears. */
const echo = `
import { createServer } from "node:net";
createServer((socket) => {
  // Who only asks whether somebody listens has gone before this is written.
  socket.on("error", () => {});
  socket.write("echo in " + process.env.ATOLL_REGION + "\\n");
  socket.pipe(socket);
}).listen(Number(process.env.PORT), "127.0.0.1");
`;

const head = "apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: mine }\nspec:\n";
const regions = `  regions:
    - { name: eu-west, coordinates: { latitude: 53.3, longitude: -6.3 } }
    - { name: us-east, coordinates: { latitude: 38.9, longitude: -77.4 } }
`;
const front = (word: string): string => `  services:
    - { name: front, namespace: web, clusters: [eu-west], directory: app, command: [${JSON.stringify(process.execPath)}, server.mjs], env: { WORD: ${word} }, readiness: { path: / } }
    - { name: stock, namespace: web, clusters: [us-east], directory: app, command: [${JSON.stringify(process.execPath)}, server.mjs], env: { WORD: stock } }
`;
const extra = `    - { name: extra, namespace: web, clusters: [eu-west], directory: app, command: [sh, -c, '"$0" server.mjs', ${JSON.stringify(process.execPath)}], env: { WORD: extra }, workloadApi: true }
`;

const tcpService = `    - { name: echo, namespace: core, protocol: tcp, port: 7, clusters: [us-east], directory: app, command: [${JSON.stringify(process.execPath)}, echo.mjs] }
`;

/** Everything that is heard on a connection that says `words` and ends. */
function said(port: number, words: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect({ host: "127.0.0.1", port, timeout: 10_000 }, () => socket.end(words));
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => (heard += text));
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve(heard));
  });
}

const place = new Place();
const file = join(place.directory, "mine.yaml");

beforeAll(() => {
  mkdirSync(join(place.directory, "app"));
  writeFileSync(join(place.directory, "app", "server.mjs"), server);
  writeFileSync(join(place.directory, "app", "echo.mjs"), echo);
});

afterAll(async () => {
  await place.end();
  if (process.env["ATOLL_KEEP_SCENARIOS"] === undefined) place[Symbol.dispose]();
}, 60_000);

function portOf(name: string): number {
  const port = readFederationFile(place.dataDir)?.ports[name];
  if (port === undefined) throw new Error(`there is no port ${name}`);
  return port;
}

async function bodyFrom(port: number, host: string, path = "/"): Promise<string | undefined> {
  const { status, body } = await call(port, { host, path });
  return status === 200 ? body : undefined;
}

function pids(): ReadonlyMap<string, number> {
  return new Map(livingProcesses(place.dataDir).map(({ name, pid }) => [name, pid]));
}

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("a federation of a user's own file", () => {
  it("is refused whole, with the place of each fault, and starts nothing", async () => {
    writeFileSync(file, `${head}${regions}  services: [{ name: front, clusters: [mars], comand: [x] }]\n`);
    const refused = await place.atoll("up", file);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`${file}:8:47: spec.services[0].comand: found an unknown field`);
    expect(existsSync(place.dataDir)).toBe(false);
  });

  it("runs the user's applications behind sidecars, which reach each other across regions by name", async () => {
    writeFileSync(file, head + regions + front("first"));
    const up = await place.atoll("up", file);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    expect(up.stdout).toContain(`curl http://127.0.0.1:${portOf("eu-west-front-proxy.outbound")}/ -H 'Host: stock.web'`);
    await eventually("the other region's service answers", async () => (await bodyFrom(portOf("eu-west-front-proxy.outbound"), "stock.web")) === "stock from us-east");
    // The application itself calls: from its own port, through its sidecar, to the other region.
    await eventually("the application reaches it, too", async () => (await bodyFrom(portOf("eu-west-front.app"), "front", "/via/stock.web")) === "stock from us-east");
    await eventually("and the other way", async () => (await bodyFrom(portOf("us-east-stock-proxy.outbound"), "front.web")) === "first from eu-west");
  });

  it("is known to status and explain as the demonstration is", async () => {
    await eventually("it is healthy", async () => (await place.atoll("check")).code === 0);
    const explained = await place.atoll("explain", "web/stock", "--from", "eu-west");
    expect(explained.stdout).toContain("us-east");
    const drill = await place.atoll("drill", "run", "region-loss", "--region", "eu-west");
    expect(drill.stderr).toContain("no users live in eu-west");
  });

  it("becomes what its edited file says, and only what changed is started again", async () => {
    const before = pids();
    writeFileSync(file, head + regions + front("second") + extra);
    const up = await place.atoll("up", file);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    const after = pids();
    expect([...before].filter(([name, pid]) => after.get(name) !== pid).map(([name]) => name)).toEqual(["eu-west-front-app"]);
    expect([...after.keys()].filter((name) => !before.has(name)).sort()).toEqual(["eu-west-extra-app", "eu-west-extra-proxy"]);
    await eventually("the application has its new word", async () => (await bodyFrom(portOf("us-east-stock-proxy.outbound"), "front.web")) === "second from eu-west");
    const socket = join(place.dataDir, "eu-west-extra-proxy", "workload.sock");
    expect(up.stdout).toContain(`  web/extra in eu-west: SPIFFE_ENDPOINT_SOCKET=unix://${socket}\n`);
    using application = new TestWorkload(socket);
    const { svids } = await application.svids().atLeast(1);
    expect(svids.map(({ spiffeId }) => spiffeId)).toEqual(["spiffe://mine.mesh/ns/web/sa/extra"]);
    await eventually("the new service is called from the other region", async () => (await bodyFrom(portOf("us-east-stock-proxy.outbound"), "extra.web")) === "extra from eu-west");
  });

  it("leads connections to a TCP service of the other region, by a port of the caller's sidecar", async () => {
    writeFileSync(file, head + regions + front("second").replace("env: { WORD: second }", "env: { WORD: second }, tcpUpstreams: [{ service: core/echo }]") + extra + tcpService);
    const up = await place.atoll("up", file);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    const port = portOf("eu-west-front-proxy.tcp-core-echo");
    expect(up.stdout).toContain(`web/front in eu-west calls core/echo at 127.0.0.1:${port} (ATOLL_TCP_CORE__ECHO)`);
    await eventually("the other region sends back what it hears", async () => (await said(port, "hello")) === "echo in us-east\nhello");
  });

  it("says of an edit that everybody rests on that it needs `down` first, and changes nothing", async () => {
    const before = pids();
    writeFileSync(file, head + regions.replace(/ {4}- \{ name: us-east.*\n/, "") + front("second").replace(/ {4}- \{ name: stock.*\n/, ""));
    const up = await place.atoll("up", file);
    expect(up.code).toBe(1);
    expect(up.stderr).toMatch(/ATOLL_FEDERATION_RUNNING.*atoll down.*us-east-plane is not wanted any more/);
    expect(pids()).toEqual(before);
  });

  it("forgets a service that the file no longer has", async () => {
    writeFileSync(file, head + regions + front("second"));
    expect(await place.atoll("up", file)).toMatchObject({ code: 0 });
    expect([...pids().keys()].filter((name) => name.includes("extra"))).toEqual([]);
    const services = await place.atoll("-o", "json", "get", "services", "--cluster", "eu-west");
    expect(services.stdout).toContain('"front"');
    expect(services.stdout).not.toContain('"extra"');
    await eventually("its name is unknown to the other region", async () => (await call(portOf("us-east-stock-proxy.outbound"), { host: "extra.web" })).status === 404);
  });

  it("leaves nothing after `down`, and does after `down` what it could not while it ran", async () => {
    const processes = livingProcesses(place.dataDir);
    expect(await place.atoll("down")).toMatchObject({ code: 0 });
    expect(processes.filter(({ pid, identity }) => isSameProcess(pid, identity))).toEqual([]);
    expect(processesIn(place.directory)).toEqual([]);
    expect(readdirSync(place.homeDirectory)).toEqual([]);
    writeFileSync(file, head + regions.replace(/ {4}- \{ name: us-east.*\n/, "") + front("third").replace(/ {4}- \{ name: stock.*\n/, ""));
    const up = await place.atoll("up", file);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    await eventually("it serves", async () => (await bodyFrom(portOf("eu-west-front-proxy.outbound"), "front.web")) === "third from eu-west");
    const clusters = await place.atoll("-o", "json", "get", "clusters");
    expect(clusters.stdout).not.toContain("us-east");
    expect(await place.atoll("down")).toMatchObject({ code: 0 });
    expect(processesIn(place.directory)).toEqual([]);
  });
});

/** Processes of any kind that run in the directory or name it, by what the system says. Linux only: elsewhere what was recorded has to do. */
function processesIn(directory: string): readonly string[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      return command.includes(directory) || (environment.includes("ATOLL_OUTBOUND=") && environment.includes(directory)) ? [`${pid} ${command}`] : [];
    } catch {
      return [];
    }
  });
}
