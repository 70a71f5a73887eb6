import type { CommandContext } from "../context.ts";
import { bytes, printData } from "../output.ts";
import { renderTable, type Column } from "../table.ts";
import { startProgress } from "../terminal.ts";
import { planForDemo } from "../demo/demo-plan.ts";
import { bringUp } from "../up/bring-up.ts";
import type { FederationFile } from "../up/federation-file.ts";
import { instancesOf, trustDomainsOf, type FederationPlan } from "../up/federation-plan.ts";
import type { ProcessKind, ProcessView } from "../up/process-spec.ts";
import { endFederation } from "../up/running.ts";
import type { Topology } from "../up/topology.ts";
import { bundleAddresses } from "../up/bundle-endpoints.ts";
import { waysToCall, type WayToCall } from "../up/ways-to-call.ts";

/** Rough resident memory of one process of the demo, for the announcement before anything has been measured. */
const expectedBytesEach = 100 * 1024 ** 2;

/** What `atoll up` may be told, on the command line and by a file. */
export interface UpOptions {
  readonly portBase?: number;
  readonly engines?: boolean;
  /** Of each engine. */
  readonly members?: number;
  readonly rate?: number;
  /** The user's file, read and checked. */
  readonly described?: { readonly source: string; readonly plan: FederationPlan };
}

/** `atoll up [FILE]`: exit code 1 when an application of the user's own did not answer. */
export async function runUp(context: CommandContext, options: UpOptions): Promise<number> {
  const startMs = context.terminal.clock.monotonicMs();
  const { described, ...given } = options;
  const plan = described?.plan ?? (await planForDemo(context, given));
  const source = described === undefined ? {} : { source: described.source };
  const running = await bringUp(context, { ...given, ...source, ...(plan === undefined ? {} : { plan }), onPlan: (topology, file) => announce(context, topology, file) });
  await using supervisor = running.supervisor;
  const processes = await supervisor.list(context.signal);
  const calls = running.file.source === undefined ? [] : waysToCall(running.topology);
  const bundles = bundleAddresses(running.topology);
  const code = running.waitingFor.length === 0 ? 0 : 1;
  if (printData(context, { name: context.name, dataDir: context.dataDir, processes, ...(running.file.source === undefined ? {} : { calls, waitingFor: running.waitingFor }), ...(bundles.length === 0 ? {} : { bundles }) })) return code;
  const took = ((context.terminal.clock.monotonicMs() - startMs) / 1000).toFixed(0);
  const { terminal } = context;
  terminal.print(running.wasRunning ? `Federation ${context.name} already runs: ${summary(processes)}.` : `Federation ${context.name} is up after ${took} s: ${summary(processes)}.`);
  if (running.file.source === undefined) {
    terminal.print("Next: `atoll status`, `atoll explain web/storefront --from eu-west`, `atoll drill run region-loss --region eu-west`, `atoll down`.");
    return code;
  }
  if (bundles.length > 0) terminal.print("\nOthers fetch bundles (docs/bundle-endpoint.md):");
  for (const { trustDomain, url, profile, spiffeId } of bundles) terminal.print(`  ${trustDomain}: ${url} by ${profile}${spiffeId === undefined ? "" : `, as ${spiffeId}`}`);
  printCalls(context, calls);
  for (const words of running.waitingFor) terminal.note(`${terminal.paint.warn("still waiting")}  for ${words}; its sidecar goes on asking`);
  return code;
}

function printCalls(context: CommandContext, calls: readonly WayToCall[]): void {
  const { terminal } = context;
  const flags = context.flags === "" ? "" : ` ${context.flags}`;
  if (calls.length > 0) {
    terminal.print("");
    for (const line of renderTable(callColumns, calls, terminal.width)) terminal.print(line);
    if (calls.some(({ example }) => example !== undefined)) terminal.print("\nEach application calls others through its own sidecar, by their name as Host:");
    for (const { example } of calls) if (example !== undefined) terminal.print(`  ${example}`);
    const tcp = calls.flatMap(({ service, cluster, tcp: called }) => called.map((one) => ({ ...one, from: `${service} in ${cluster}` })));
    if (tcp.length > 0) terminal.print("\nTCP services are called by a port of the caller's sidecar:");
    for (const one of tcp) terminal.print(`  ${one.from} calls ${one.service} at ${one.address} (${one.variable})`);
    const identified = calls.filter(({ identity }) => identity !== undefined);
    if (identified.length > 0) terminal.print("\nApplications find the SPIFFE Workload API of their sidecars by:");
    for (const { service, cluster, identity } of identified) terminal.print(`  ${service} in ${cluster}: ${identity}`);
    const started = calls.filter(({ log }) => log !== undefined);
    if (started.length > 0) terminal.print(`\nWhat ${started.length === 1 ? "the application writes is" : "applications write is"} in ${started.map(({ log }) => log).join(", ")}.`);
    terminal.print("");
  }
  const [first] = calls;
  const explain = first === undefined ? "" : `\`atoll${flags} explain ${first.service} --from ${first.region}\`, `;
  terminal.print(`Next: \`atoll${flags} status\`, ${explain}\`atoll${flags} down\`; after an edit, \`atoll up FILE\` again.`);
}

const callColumns: readonly Column<WayToCall>[] = [
  { title: "SERVICE", value: (row) => row.service },
  { title: "CLUSTER", value: (row) => row.cluster },
  { title: "REGION", value: (row) => row.region },
  { title: "APPLICATION", value: (row) => row.application },
  { title: "ITS SIDECAR", value: (row) => row.sidecar },
];

/** `atoll down`. */
export async function runDown(context: CommandContext): Promise<number> {
  const progress = startProgress(context.terminal);
  progress.step(`ending federation ${context.name}`);
  try {
    const result = await endFederation(context.dataDir, context.terminal.clock, context.signal);
    progress.done();
    if (printData(context, result)) return 0;
    if (result.ended === 0) context.terminal.print(`Federation ${context.name} does not run; nothing to end.`);
    else context.terminal.print(`Federation ${context.name} has ended: ${result.ended} processes${result.wasOrphaned ? ", whose supervisor was gone" : ""}. Its data stay in ${context.dataDir}.`);
    return 0;
  } finally {
    progress.done();
  }
}

/** What is about to be started: processes, memory, directory. */
export function announce(context: CommandContext, topology: Topology, file: FederationFile): void {
  if (context.output !== "table") return;
  const { terminal } = context;
  const { plan, processes } = topology;
  const count = (kinds: readonly ProcessKind[]): number => processes.filter(({ spec }) => kinds.includes(spec.kind)).length;
  const applications = plan.workloads.flatMap((workload) => instancesOf(plan, workload)).length;
  const around =
    plan.users.length === 0
      ? `${applications} applications, ${count(["app"])} of them started here${count(["relay"]) > 0 ? ", 1 network of delays" : ""}`
      : `${applications} applications in ${count(["app"])} processes, users of ${plan.users.length} regions in one${count(["relay"]) > 0 ? ", 1 network of delays" : ""}`;
  const rows: readonly (readonly [string, string])[] = [
    ["regions", plan.regions.map((region) => region.name).join(", ")],
    ["clusters", plan.clusters.map((cluster) => cluster.name).join(", ")],
    ["trust domains", trustDomainsOf(plan).join(", ")],
    ["control planes", `1 global, ${count(["plane"])} of clusters${count(["bus"]) > 0 ? ", 1 message hub" : ""}`],
    ...(file.engines === undefined ? [] : [["engines", `${count(["engine"])} processes of etcd and nats-server`] as const]),
    ["data plane", `${count(["gateway"])} gateways, ${count(["sidecar"])} sidecars`],
    ["around it", around],
    ...(plan.users.length === 0 ? [] : [["users", plan.users.map(({ region, ratePerSecond }) => `${ratePerSecond}/s in ${region}`).join(", ")] as const]),
    ["in all", `${processes.length + 1} processes, about ${bytes((processes.length + 1) * expectedBytesEach)} of memory`],
    ["directory", context.dataDir],
    ["ports", `127.0.0.1, ${file.portBase} and up`],
  ];
  terminal.print(terminal.paint.bold(`Starting federation ${context.name} (${plan.federation})`));
  for (const line of renderTable([{ title: "", value: ([key]) => key }, { title: "", value: ([, value]) => value }], rows, terminal.width - 2).slice(1)) terminal.print(`  ${line}`);
}

/** `37 processes, 2.4 GB of memory`. */
export function summary(processes: readonly ProcessView[]): string {
  const memory = processes.reduce((sum, view) => sum + (view.memoryBytes ?? 0), 0);
  const running = processes.filter((view) => view.state === "running").length;
  const state = running === processes.length ? `${running} processes` : `${running} of ${processes.length} processes`;
  return memory === 0 ? state : `${state}, ${bytes(memory)} of memory`;
}
