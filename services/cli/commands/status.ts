import { join } from "node:path";
import { overloadsByService, overloadWords } from "#federation/model/overload.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ClusterRow, ClusterStatus, FederationStatus, ProxyRow, RelationshipRow, ServiceRow } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { unreachedWords } from "#federation/model/unreached-cluster.ts";
import type { CommandContext } from "../context.ts";
import { etcdProblems, readEtcdStates } from "../engines/etcd-findings.ts";
import { etcdTenants } from "../engines/etcd-users.ts";
import { findSilentEngines, silentEngineProblems } from "../engines/silent-engines.ts";
import { printData, printRows } from "../output.ts";
import type { Planes } from "../planes.ts";
import { renderTable, type Column } from "../table.ts";
import { engineFiles, engineProcesses } from "../up/engine-plan.ts";
import { findSupervisor, livingProcesses } from "../up/running.ts";
import { lastWords, processTroubles } from "../up/process-trouble.ts";
import type { ProcessView } from "../up/process-spec.ts";
import { apiOverloadProblems } from "./api-overload-findings.ts";
import { authorityFindings, issuersShown } from "./authority-findings.ts";
import { backupColumns, backupLines, backupProblems } from "./backup-findings.ts";
import { bundleEndpointProblems } from "./bundle-endpoint-findings.ts";
import { federatedProblems } from "./federated-findings.ts";
import { certificateProblems, contextsHere } from "./certificate-findings.ts";
import { engineCertificateProblems } from "./engine-certificate-findings.ts";
import { planeClockProblems, proxyClockProblems } from "./clock-findings.ts";
import { engineProblems } from "./engine-findings.ts";
import { closedRoleProblems } from "./closed-role-findings.ts";
import { summary } from "./lifecycle.ts";
import { nameColumns, nameProblems, namesDialledHere, namesSeen, type SeenName } from "./name-findings.ts";
import { placeWords } from "./instance-words.ts";
import { relationshipProblems } from "./relationship-findings.ts";
import { awayProblems, distrustProblems, doubleProblems, isUnwritable, refusalProblems, storeProblems, unfollowedProblems, unwritableProblems, withdrawalProblems } from "./store-findings.ts";
import { trialProblems } from "./trial-findings.ts";
import { withFederation, type OpenFederation } from "./federation.ts";
import { Patience, type Asked } from "./patience.ts";
import { findPolicyFaults, policyWords } from "./policy-references.ts";

interface Report {
  readonly name: string;
  readonly dataDir: string;
  readonly supervised: boolean;
  readonly processes: readonly ProcessView[];
  readonly federation?: FederationStatus;
  readonly clusters: Readonly<Record<string, ClusterStatus>>;
  /** Names that gateways, planes and engines are dialled by, as those who dial them see them. */
  readonly names: readonly SeenName[];
  /** What is not as it should be, in words; empty when all is well. */
  readonly problems: readonly string[];
  /** What is to be done in time, in words; nothing is wrong by it yet. */
  readonly warnings: readonly string[];
}

/** `atoll status`: exit code 1 when anything is not as it should be. */
export async function runStatus(context: CommandContext): Promise<number> {
  const report = await withFederation(context, async (federation) => await readReport(context, federation));
  if (!printData(context, report)) printReport(context, report);
  return report.problems.length === 0 ? 0 : 1;
}

/** `atoll check`: only what is wrong, for scripts and probes. */
export async function runCheck(context: CommandContext): Promise<number> {
  const { name, problems, warnings } = await withFederation(context, async (federation) => await readReport(context, federation));
  if (printData(context, { healthy: problems.length === 0, problems, warnings })) return problems.length === 0 ? 0 : 1;
  if (problems.length === 0) context.terminal.print(`Federation ${name} is healthy.`);
  for (const line of findingLines(context, { problems, warnings })) context.terminal.print(line);
  return problems.length === 0 ? 0 : 1;
}

function findingLines({ terminal: { paint } }: CommandContext, { problems, warnings }: Pick<Report, "problems" | "warnings">): readonly string[] {
  return [...problems.map((problem) => `${paint.bad("wrong")}  ${problem}`), ...warnings.map((warning) => `${paint.warn("soon")}   ${warning}`)];
}

async function readReport(context: CommandContext, { planes, topology }: OpenFederation): Promise<Report> {
  const { dataDir, signal, terminal } = context;
  const supervisor = topology === undefined ? undefined : await findSupervisor(dataDir, terminal.clock);
  using patience = new Patience(terminal.clock, signal);
  const administrator = engineFiles(dataDir, etcdAdministrator);
  const askedGlobal = patience.ask(async (inner) => (await planes.global().call(globalRoutes.status, {}, inner)).body);
  const [listed, global, here, clusters, etcds, silent, references] = await Promise.all([
    patience.alongside(async (inner) => (await supervisor?.list(inner)) ?? []),
    askedGlobal,
    patience.alongside((inner) => namesDialledHere(planes.servers(), createDnsLookup(), inner)),
    askClusters(planes, patience),
    patience.alongside(async () => await readEtcdStates(etcdTenants((topology?.processes ?? []).map(({ config }) => config)), administrator, terminal.clock)),
    patience.alongside(async () => await findSilentEngines(engineProcesses(topology?.processes ?? []), administrator)),
    patience.alongside(async (inner) => {
      const asked = await askedGlobal;
      return asked.kind === "answer" ? await findPolicyFaults(planes, { services: asked.value.services }, inner) : [];
    }),
  ]);
  // Where they are not to be had, the plane that did not answer is named.
  const policies = references.kind === "answer" ? references.value : [];
  await supervisor?.[Symbol.asyncDispose]();
  const known = clusters.flatMap(([name, asked]) => (asked.kind === "answer" ? [[name, asked.value] as const] : []));
  const names = [...namesSeen(global.kind === "answer" ? global.value : undefined, known), ...(here.kind === "answer" ? here.value : [])];
  const contexts = contextsHere(planes, { dataDir, clients: topology?.plan.clients ?? [] });
  const authorityRows = global.kind === "answer" ? (global.value.authorities ?? []) : issuersShown(contexts);
  const authorities = authorityFindings(authorityRows, { keysDir: topology === undefined ? undefined : join(dataDir, "global"), nowMs: terminal.clock.nowMs() });
  const problems = distinct([
    ...(listed.kind === "failed" ? [`the supervisor does not answer: ${describeError(listed.error)}`] : []),
    ...(topology === undefined || listed.kind === "failed" ? [] : processProblems(dataDir, supervisor !== undefined, listed.value, topology.processes.length)),
    ...planeProblems("the global plane", global),
    ...clusters.flatMap(([name, asked]) => planeProblems(`the plane of ${name}`, asked)),
    ...(global.kind === "answer" ? [...storeProblems("global", global.value), ...awayProblems("global", global.value), ...unfollowedProblems("global", global.value), ...unwritableProblems("global", global.value), ...backupProblems("global", global.value), ...apiOverloadProblems("global", global.value), ...federationProblems(global.value)] : []),
    ...known.flatMap(([name, status]) => clusterProblems(name, status)),
    ...distrustProblems(global.kind === "answer" ? global.value : undefined, known),
    ...doubleProblems(global.kind === "answer" ? global.value : undefined, known),
    ...refusalProblems(global.kind === "answer" ? global.value : undefined, known),
    ...withdrawalProblems(global.kind === "answer" ? global.value : undefined, known),
    ...(etcds.kind === "answer" ? etcdProblems(etcds.value) : []),
    ...engineProblems([...(global.kind === "answer" ? [["global", global.value] as const] : []), ...known]),
    ...engineCertificateProblems([...(global.kind === "answer" ? [global.value] : []), ...known.map(([, status]) => status)], { isHere: topology !== undefined, nowMs: terminal.clock.nowMs() }),
    ...authorities.problems,
    ...(silent.kind === "answer" ? silentEngineProblems(silent.value) : []),
    ...nameProblems(names),
    ...policies.filter(({ mayCome }) => !mayCome).map(policyWords),
    ...certificateProblems(contexts, terminal.clock.nowMs()),
  ]);
  return {
    name: topology === undefined ? planes.federation : context.name,
    dataDir,
    supervised: supervisor !== undefined,
    processes: listed.kind === "answer" ? listed.value : [],
    ...(global.kind === "answer" ? { federation: global.value } : {}),
    clusters: Object.fromEntries(known),
    names,
    problems,
    warnings: [...authorities.warnings, ...policies.filter(({ mayCome }) => mayCome).map(policyWords)],
  };
}

/** What two find out is said once. */
function distinct(problems: readonly string[]): readonly string[] {
  return [...new Set(problems)];
}

async function askClusters(planes: Planes, patience: Patience): Promise<readonly (readonly [string, Asked<ClusterStatus>])[]> {
  return await Promise.all(planes.clusters.map(async (name) => [name, await patience.ask(async (inner) => (await planes.cluster(name).call(clusterRoutes.status, {}, inner)).body)] as const));
}

function processProblems(dataDir: string, isSupervised: boolean, processes: readonly ProcessView[], expected: number): readonly string[] {
  if (!isSupervised) {
    const living = livingProcesses(dataDir).length;
    return [living === 0 ? "nothing runs: start it with `atoll up`" : `the supervisor is gone; ${living} processes go on without it: \`atoll down\` ends them`];
  }
  const notRunning = processes.filter((view) => view.state !== "running").map((view) => `${view.name} is ${stateWords[view.state]}${endedBy(view)}; its log: ${view.logFile}`);
  const troubled = processes.flatMap(({ name, pid }) => (pid === undefined ? [] : processTroubles(pid).map((trouble) => `${name} (pid ${pid}) ${trouble}`)));
  return [...(processes.length < expected ? [`only ${processes.length} of ${expected} processes were started: \`atoll up\` completes it`] : []), ...notRunning, ...troubled];
}

function endedBy({ state, restarts, logFile }: ProcessView): string {
  const words = state === "backoff" || (state === "starting" && restarts > 0) ? lastWords(logFile) : undefined;
  return words === undefined ? "" : ` (${words})`;
}

const stateWords = { starting: "starting", running: "running", backoff: "crashing and waits for its next start", killed: "killed (a drill?): `atoll up` starts it again", stopped: "stopped" } as const;

function planeProblems(what: string, asked: Asked<unknown>): readonly string[] {
  return asked.kind === "failed" ? [`${what} does not answer: ${describeError(asked.error)}`] : [];
}

function federationProblems(status: FederationStatus): readonly string[] {
  return [
    // Over a store that is behind, away or full it hears nobody.
    ...(status.store?.state === "behind" || status.storeAwaySinceMs !== undefined || isUnwritable(status) ? [] : status.clusters).filter((row) => !row.connected).map((row) => `the global plane has not heard ${row.id} for ${row.heardAgeMs === undefined ? "ever" : describeAge(row.heardAgeMs)}`),
    ...planeClockProblems(status),
    ...relationshipProblems(status),
    ...status.services.flatMap((row) => row.places.filter((place) => place.endpointsReady === 0 && (place.endpointsUnknown ?? 0) === 0).map((place) => `${row.namespace}/${row.name} has no ready instance in ${place.cluster}`)),
  ];
}

/** A proxy that is well answers within a second; a busy one within some, in ms. */
const unansweredMsMax = 10_000;

/** What is not as it should be in one cluster, in words. */
export function clusterProblems(name: string, status: ClusterStatus): readonly string[] {
  return [
    ...storeProblems(name, status),
    ...awayProblems(name, status),
    ...unfollowedProblems(name, status),
    ...unwritableProblems(name, status),
    ...closedRoleProblems(name, status),
    ...backupProblems(name, status),
    ...bundleEndpointProblems(name, status),
    ...federatedProblems(name, status),
    ...apiOverloadProblems(name, status),
    ...(status.globalPlane.connected || status.store?.state === "behind" || status.storeAwaySinceMs !== undefined || isUnwritable(status) ? [] : [`${name} does not hear the global plane; it goes on with what it knows`]),
    ...status.services.flatMap((row) => row.places.filter((place) => place.cluster === status.cluster && (place.endpointsUnknown ?? 0) > 0).map((place) => `the plane of ${name} does not hear ${place.endpointsUnknown} of the ${place.endpointsTotal} instances of ${row.namespace}/${row.name} there: their sidecars stand still or are cut off from it; requests are sent to them all the same`)),
    ...status.proxies.filter((row) => row.connected && row.rejections > 0 && row.lastRejection !== undefined).map((row) => `proxy ${row.name} refused a snapshot: ${row.lastRejection}`),
    ...status.proxies.filter((row) => row.connected && row.lagMs > unansweredMsMax).map((row) => `proxy ${row.name} has not answered the plane of ${name} for ${describeAge(row.lagMs)}: it stands still or is cut off, and routes by what it had`),
    ...silentGatewayProblems(name, status),
    ...trialProblems(name, status),
    ...(status.unreached ?? []).map((row) => unreachedProblem(name, row)),
    ...(status.unwritten ?? []).map((row) => `proxy ${row.instance} in ${name} cannot write to its disk (${row.reason}): it goes on, and started again it would begin with what it wrote last, perhaps an older identity and older routes; give its disk room`),
    ...proxyClockProblems(name, status),
    ...overloadsByService(status.overloads ?? []).map((row) => `${row.namespace}/${row.service} in ${name} is ${overloadWords(row)} (${row.instances.join(", ")})`),
  ];
}

/** The planes may hear each other all the while: requests go from proxy to gateway. */
function unreachedProblem(name: string, row: NonNullable<ClusterStatus["unreached"]>[number]): string {
  const rest = row.instances - row.named.length;
  const who = `${row.named.join(", ")}${rest === 0 ? "" : ` and ${rest} more`}`;
  return `${unreachedWords(row, { here: name, who, whom: row.cluster })}, and what they ask of it goes elsewhere or fails: see whether its gateways run, and whether the network lets their port through`;
}

/**
 * Of a sidecar its instances tell; through a gateway requests come from other regions, and nobody there may notice that it is one fewer.
 * A plane whose store is behind hears no proxy at all.
 */
export function silentGatewayProblems(name: string, { proxies, store }: Pick<ClusterStatus, "proxies" | "store">): readonly string[] {
  if (store?.state === "behind") return [];
  return proxies
    .filter(({ mode, heardAgeMs = 0 }) => mode === "gateway" && heardAgeMs > proxyReturnMs)
    .map((row) => `the plane of ${name} has not heard gateway ${row.name} for ${describeAge(row.heardAgeMs ?? 0)}: it has died, or is cut off and routes by what it had; start it again, or stop it in order where it runs`);
}

const clusterColumns: readonly Column<ClusterRow>[] = [
  { title: "CLUSTER", value: (row) => row.id },
  { title: "REGION", value: (row) => row.region },
  { title: "TRUST DOMAIN", value: (row) => row.trustDomain },
  { title: "CONNECTED", value: (row) => (row.connected ? "yes" : "NO") },
  { title: "HEARD", value: (row) => (row.heardAgeMs === undefined ? "never" : `${describeAge(row.heardAgeMs)} ago`), align: "right" },
  { title: "BEHIND", value: (row) => (row.lagMs === 0 ? "-" : describeAge(row.lagMs)), align: "right" },
  { title: "EXPORTS", value: (row) => String(row.servicesExported), align: "right" },
];

const serviceColumns: readonly Column<ServiceRow>[] = [
  { title: "SERVICE", value: (row) => `${row.namespace}/${row.name}` },
  { title: "TRUST DOMAIN", value: (row) => row.trustDomain },
  { title: "READY IN", value: (row) => row.places.map((place) => `${place.cluster} ${placeWords(place)}`).join(", ") || "nowhere" },
];

const relationshipColumns: readonly Column<RelationshipRow>[] = [
  { title: "RELATIONSHIP", value: (row) => row.name },
  { title: "CALLER", value: (row) => row.caller },
  { title: "CALLEE", value: (row) => row.callee },
  { title: "STATE", value: (row) => row.state },
  { title: "SINCE", value: (row) => row.since?.slice(0, 10) ?? "-" },
  { title: "UNTIL", value: (row) => row.validUntil.slice(0, 10) },
  { title: "PROPOSED", value: ({ proposed }) => (proposed === undefined ? "-" : `until ${proposed.validUntil.slice(0, 10)}, waits for ${proposed.waitsFor.join(", ")}`) },
];

function printReport(context: CommandContext, report: Report): void {
  const { terminal } = context;
  const section = (lines: readonly string[]): void => {
    terminal.print("");
    for (const line of lines) terminal.print(line);
  };
  const state = report.problems.length === 0 ? terminal.paint.good("healthy") : terminal.paint.bad(`${report.problems.length} problem${report.problems.length === 1 ? "" : "s"}`);
  terminal.print(`Federation ${report.name}: ${state}${report.supervised ? `; ${summary(report.processes)}` : ""}`);
  if (report.federation !== undefined) {
    section(renderTable(clusterColumns, report.federation.clusters, terminal.width));
    section(renderTable(serviceColumns, report.federation.services, terminal.width));
    if (report.federation.relationships.length > 0) section(renderTable(relationshipColumns, report.federation.relationships, terminal.width));
  }
  const backups = [...(report.federation === undefined ? [] : backupLines("global", report.federation)), ...Object.entries(report.clusters).flatMap(([name, status]) => backupLines(name, status))];
  if (backups.length > 0) section(renderTable(backupColumns, backups, terminal.width));
  if (report.names.length > 0) section(renderTable(nameColumns, report.names, terminal.width));
  const findings = findingLines(context, report);
  if (findings.length > 0) section(findings);
}

interface ProxyLine extends ProxyRow {
  readonly cluster: string;
}

/** `atoll proxy status`: every proxy that the clusters' planes know. */
export async function runProxyStatus(context: CommandContext): Promise<number> {
  const asked = await withFederation(context, async ({ planes }) => {
    using patience = new Patience(context.terminal.clock, context.signal);
    return await askClusters(planes, patience);
  });
  const rows = asked.flatMap(([cluster, answer]) => (answer.kind === "answer" ? answer.value.proxies.map((row): ProxyLine => ({ ...row, cluster })) : []));
  const columns: readonly Column<ProxyLine>[] = [
    { title: "PROXY", value: (row) => row.name },
    { title: "CLUSTER", value: (row) => row.cluster },
    { title: "MODE", value: (row) => row.mode },
    { title: "CONNECTED", value: (row) => (row.connected ? "yes" : "NO") },
    { title: "HEARD", value: (row) => (row.heardAgeMs === undefined ? "now" : `${describeAge(row.heardAgeMs)} ago`), align: "right" },
    { title: "REVISION", value: (row) => (row.connected ? String(row.acknowledgedRevision) : "-"), align: "right" },
    { title: "BEHIND", value: (row) => (row.lagMs === 0 ? "-" : describeAge(row.lagMs)), align: "right" },
    { title: "REFUSED", value: (row) => String(row.rejections), align: "right" },
  ];
  printRows(context, rows, columns);
  const silent = asked.flatMap(([cluster, answer]) => (answer.kind === "failed" ? [`${cluster}: ${describeError(answer.error)}`] : []));
  for (const line of silent) context.terminal.note(`${context.terminal.paint.warn("no answer")}  ${line}`);
  return silent.length === 0 ? 0 : 1;
}
