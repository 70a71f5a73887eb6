import type { CommandContext } from "../context.ts";
import { bytes, printData } from "../output.ts";
import { renderTable } from "../table.ts";
import { startProgress } from "../terminal.ts";
import { planForDemo } from "../demo/demo-plan.ts";
import { bringUp } from "../up/bring-up.ts";
import type { FederationFile } from "../up/federation-file.ts";
import type { ProcessKind, ProcessView } from "../up/process-spec.ts";
import { endFederation } from "../up/running.ts";
import type { Topology } from "../up/topology.ts";

/** Rough resident memory of one process of the demo, for the announcement before anything has been measured. */
const expectedBytesEach = 100 * 1024 ** 2;

/** `atoll up`. */
export async function runUp(context: CommandContext, options: { readonly portBase?: number; readonly engines?: boolean; readonly rate?: number }): Promise<number> {
  const startMs = context.terminal.clock.monotonicMs();
  const plan = await planForDemo(context, options);
  const running = await bringUp(context, { ...options, ...(plan === undefined ? {} : { plan }), onPlan: (topology, file) => announce(context, topology, file) });
  await using supervisor = running.supervisor;
  const processes = await supervisor.list(context.signal);
  if (printData(context, { name: context.name, dataDir: context.dataDir, processes })) return 0;
  const took = ((context.terminal.clock.monotonicMs() - startMs) / 1000).toFixed(0);
  const { terminal } = context;
  terminal.print(running.wasRunning ? `Federation ${context.name} already runs: ${summary(processes)}.` : `Federation ${context.name} is up after ${took} s: ${summary(processes)}.`);
  terminal.print("Next: `atoll status`, `atoll explain web/storefront --from eu-west`, `atoll drill run region-loss --region eu-west`, `atoll down`.");
  return 0;
}

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
  const applications = plan.workloads.flatMap(({ trustDomain }) => plan.clusters.filter((cluster) => cluster.trustDomain === trustDomain)).length;
  const rows: readonly (readonly [string, string])[] = [
    ["regions", plan.regions.map((region) => region.name).join(", ")],
    ["clusters", plan.clusters.map((cluster) => cluster.name).join(", ")],
    ["trust domains", [...new Set(plan.clusters.map((cluster) => cluster.trustDomain))].join(", ")],
    ["control planes", `1 global, ${count(["plane"])} of clusters${count(["bus"]) > 0 ? ", 1 message hub" : ""}`],
    ...(file.engines === undefined ? [] : [["engines", `${count(["engine"])} processes of etcd and nats-server`] as const]),
    ["data plane", `${count(["gateway"])} gateways, ${count(["sidecar"])} sidecars`],
    ["around it", `${applications} applications in ${count(["app"])} processes, users of ${plan.users.length} regions in one, 1 network of delays`],
    ["users", plan.users.map(({ region, ratePerSecond }) => `${ratePerSecond}/s in ${region}`).join(", ")],
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
