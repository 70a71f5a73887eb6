import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { loadIdentity } from "#federation/identity/svid-files.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { CommandContext } from "#services/cli/context.ts";
import { createTerminal } from "#services/cli/terminal.ts";
import { bringUp } from "#services/cli/up/bring-up.ts";
import type { RunningFederation } from "#services/cli/up/bring-up.ts";
import type { ProcessView } from "#services/cli/up/process-spec.ts";
import { endFederation } from "#services/cli/up/running.ts";
import { proxyFlags } from "#services/cli/up/planned-process.ts";
import { handshakesOf } from "../harness/handshakes.ts";
import { call } from "../harness/http-call.ts";
import { onePath } from "../harness/plans.ts";
import { waitForAnswers } from "../harness/wait-for-answers.ts";
import { profileSuffix } from "./cpu-profile.ts";
import { freePort, startProcess, waitForPort } from "./rig.ts";
import type { Rig } from "./rig.ts";
import { benchHost } from "./shape.ts";
import type { Shape } from "./shape.ts";
import type { RunningSubject, Subject, SubjectStart } from "./subject.ts";
import { answerServer, nginxConfig, startOriginator } from "./surroundings.ts";

const run = promisify(execFile);

const endWithinMs = 60_000;
const callerProxy = "bench-storefront-proxy";
const calleeProxy = "bench-catalog-proxy";

/** How Atoll's subject is started. */
export interface AtollSubjectOptions {
  /** The repository. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Each process of the subject writes a V8 CPU profile here when it ends; without it, none is profiled. */
  readonly profileDirectory?: string;
}

/** The sidecars of which each shape consists. */
const sidecarsOf: Readonly<Record<Exclude<Shape, "http">, readonly string[]>> = { "mtls-out": [callerProxy], "mtls-in": [calleeProxy], pair: [callerProxy, calleeProxy] };

/**
 * Atoll's real processes: `mtls-out` measures the caller's sidecar, `mtls-in` the callee's, `pair` both, on one and the same path.
 * `http` measures the outbound side of the same program over plain connections, which the mesh itself never makes.
 */
export function createAtollSubject(options: AtollSubjectOptions): Subject {
  return {
    name: "atoll",
    shapes: ["http", "mtls-out", "mtls-in", "pair"],
    async start(start, signal) {
      await fillCompileCache(options);
      return await (start.shape === "http" ? startBare(start, options, signal) : startSidecars(start, { options, sidecars: sidecarsOf[start.shape] }, signal));
    },
  };
}

/** Starts a proxy without a configuration: it loads all its code, refuses, and leaves what it compiled behind. */
async function fillCompileCache({ home, environment }: AtollSubjectOptions): Promise<void> {
  await run(process.execPath, [join(home, "proxy/main.ts")], { env: { ...environment } }).catch(() => undefined);
}

async function startBare(start: SubjectStart, options: AtollSubjectOptions, signal: AbortSignal): Promise<RunningSubject> {
  const { rig, backend, cleanUp } = start;
  const port = await freePort();
  const tool = { path: process.execPath, environment: options.environment };
  const args = [...proxyFlags, ...profilerFlags(options, "atoll-bare"), join(import.meta.dirname, "bare-proxy-main.ts"), "--port", String(port), "--backend", String(backend.plainPort)];
  const { pid } = cleanUp.use(startProcess(rig, { name: "atoll-bare", role: "subject", tool, args }));
  await waitForPort(rig, "atoll-bare", port, signal);
  return { name: "atoll", pids: [pid], loadPort: port };
}

/**
 * One sidecar of a federation alone, or the two of a path. Once they serve, the planes are ended and what is beyond them
 * gives way to the program that the peers have there, under the same identity: what is compared is the subject and nothing else.
 */
async function startSidecars(
  start: SubjectStart,
  { options, sidecars }: { readonly options: AtollSubjectOptions; readonly sidecars: readonly string[] },
  signal: AbortSignal,
): Promise<RunningSubject> {
  const context = contextOf(start, options, signal);
  // Before the start: a federation that comes up in part has a supervisor that outlives us.
  start.cleanUp.defer(async () => void (await endFederation(context.dataDir, systemClock, AbortSignal.timeout(endWithinMs))));
  const federation = await startFederation(context);
  start.cleanUp.use(federation.supervisor);
  await waitForAnswers(portIn(federation, callerProxy, ["ports", "outbound"]), benchHost, signal);
  const views = await federation.supervisor.list(signal);
  const subjects = sidecars.map((name) => viewOf(views, name));
  for (const { pid } of subjects) if (pid !== undefined) await start.rig.move("subject", pid);
  await endOthers(federation, sidecars, signal);
  const pids: number[] = [];
  for (const { name, pid } of subjects) {
    const running = options.profileDirectory === undefined ? pid : await restartProfiled(start, federation, { name, options }, signal);
    if (running === undefined) throw new Error(`${name} does not run`);
    pids.push(running);
  }
  const loadPort = await replaceSurroundings(start, federation, signal);
  await waitForAnswers(loadPort, benchHost, signal);
  const running = { name: "atoll", pids, loadPort };
  return start.shape === "pair" ? { ...running, handshakes: () => sidecarHandshakes(portIn(federation, calleeProxy, ["ports", "metrics"])) } : running;
}

/** Returns the port to which load goes. */
async function replaceSurroundings(start: SubjectStart, federation: RunningFederation, signal: AbortSignal): Promise<number> {
  if (start.shape === "mtls-out") return replaceCallee(start, federation);
  replaceApp(start, federation);
  return start.shape === "mtls-in" ? replaceCaller(start, federation, signal) : portIn(federation, callerProxy, ["ports", "outbound"]);
}

/** What the callee's sidecar has counted. */
async function sidecarHandshakes(metricsPort: number): Promise<number> {
  return handshakesOf((await call(metricsPort, { path: "/metrics" })).body, "inbound");
}

/** Ends the planes first, so that they do not take the rest's goodbyes for news. */
async function endOthers(federation: RunningFederation, subjects: readonly string[], signal: AbortSignal): Promise<void> {
  const others = (await federation.supervisor.list(signal)).filter(({ name }) => !subjects.includes(name));
  const planes = others.filter(({ kind }) => kind === "plane");
  for (const group of [planes, others.filter((view) => !planes.includes(view))]) await federation.supervisor.stop({ names: group.map(({ name }) => name) }, signal);
}

/** In the place of the callee's sidecar and app: nginx with the callee's SVID. Returns the subject's outbound port. */
async function replaceCallee(start: SubjectStart, federation: RunningFederation): Promise<number> {
  const { rig, cleanUp } = start;
  const { svidPath, rootsPath } = await identityOf(rig, federation, calleeProxy);
  const tls = `ssl_certificate ${svidPath}; ssl_certificate_key ${svidPath}; ssl_client_certificate ${rootsPath}; ssl_verify_client on; ssl_verify_depth 3; ssl_protocols TLSv1.3;`;
  const server = answerServer(`listen 127.0.0.1:${portIn(federation, calleeProxy, ["ports", "inbound"])} ssl; ${tls}`);
  const name = "atoll-callee";
  cleanUp.use(startProcess(rig, { name, role: "load", tool: rig.tools.nginx, args: ["-c", nginxConfig(rig, name, server)] }));
  return portIn(federation, callerProxy, ["ports", "outbound"]);
}

/** In the place of the callee's app: the answering nginx. */
function replaceApp({ rig, cleanUp }: SubjectStart, federation: RunningFederation): void {
  const app = answerServer(`listen 127.0.0.1:${portIn(federation, calleeProxy, ["workload", "services", "0", "appPort"])};`);
  const name = "atoll-app";
  cleanUp.use(startProcess(rig, { name, role: "load", tool: rig.tools.nginx, args: ["-c", nginxConfig(rig, name, app)] }));
}

/** In the place of the caller's sidecar: an originator with its SVID. Returns the originator's port. */
async function replaceCaller(start: SubjectStart, federation: RunningFederation, signal: AbortSignal): Promise<number> {
  const { rig, cleanUp } = start;
  const { svidPath } = await identityOf(rig, federation, callerProxy);
  const identity = { certificatePath: svidPath, serverName: "p80.catalog.web.svc.shop.example" };
  return startOriginator(rig, { name: "originator-atoll", targetPort: portIn(federation, calleeProxy, ["ports", "inbound"]), identity }, cleanUp, signal);
}

/** The SVID that a sidecar keeps on disk, and the roots of its bundles in PEM. */
async function identityOf(rig: Rig, federation: RunningFederation, proxyName: string): Promise<{ readonly svidPath: string; readonly rootsPath: string }> {
  const directory = join(dirname(plannedOf(federation, proxyName).configFile ?? ""), "identity");
  const { svid, bundles } = await loadIdentity(directory);
  if (svid === undefined) throw new Error(`${proxyName} has no SVID in ${directory}`);
  const svidPath = join(rig.directory, `${proxyName}.pem`);
  const rootsPath = join(rig.directory, `${proxyName}-roots.pem`);
  writeFileSync(svidPath, svid.certificateChainPem + svid.privateKeyPem, { mode: 0o600 });
  writeFileSync(rootsPath, bundles.flatMap(({ x509Authorities }) => x509Authorities.map((der) => new X509Certificate(der).toString())).join(""));
  return { svidPath, rootsPath };
}

function profilerFlags({ profileDirectory }: AtollSubjectOptions, name: string): readonly string[] {
  return profileDirectory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDirectory}`, `--cpu-prof-name=${name}${profileSuffix}`];
}

function contextOf(start: SubjectStart, options: AtollSubjectOptions, signal: AbortSignal): CommandContext {
  const { stdout, stderr } = process;
  return {
    name: `bench-${start.shape}`,
    dataDir: join(start.rig.directory, `atoll-${start.shape}`),
    output: "table",
    terminal: createTerminal({ clock: systemClock, wantsColor: false, stdout, stderr }),
    home: options.home,
    node: process.execPath,
    version: "bench",
    signal,
    flags: "",
    env: options.environment,
  };
}

async function startFederation(context: CommandContext): Promise<RunningFederation> {
  return await bringUp(context, { plan: onePath });
}

/** Ends the sidecar `name` and starts it again as a process of the bench, with V8's profiler on. It has its identity on disk. */
async function restartProfiled(
  start: SubjectStart,
  federation: RunningFederation,
  subject: { readonly name: string; readonly options: AtollSubjectOptions },
  signal: AbortSignal,
): Promise<number> {
  const spec = plannedOf(federation, subject.name).spec;
  await federation.supervisor.stop({ names: [subject.name] }, signal);
  const tool = { path: spec.command, environment: { ...subject.options.environment, ...spec.env } };
  const args = [...profilerFlags(subject.options, subject.name), ...spec.args];
  return start.cleanUp.use(startProcess(start.rig, { name: subject.name, role: "subject", tool, args })).pid;
}

function plannedOf(federation: RunningFederation, name: string): RunningFederation["topology"]["processes"][number] {
  const planned = federation.topology.processes.find(({ spec }) => spec.name === name);
  if (planned === undefined) throw new Error(`the federation has no process ${name}`);
  return planned;
}

/** A port in the configuration that a process was given. */
function portIn(federation: RunningFederation, name: string, path: readonly string[]): number {
  let value: unknown = plannedOf(federation, name).config;
  for (const key of path) value = value !== null && typeof value === "object" ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
  if (typeof value !== "number") throw new Error(`${name} has no ${path.join(".")}`);
  return value;
}

function viewOf(views: readonly ProcessView[], name: string): ProcessView {
  const view = views.find((candidate) => candidate.name === name);
  if (view === undefined) throw new Error(`the federation has no process ${name}`);
  return view;
}
