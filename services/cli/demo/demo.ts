import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { startProgress } from "../terminal.ts";
import { announce, summary } from "../commands/lifecycle.ts";
import { bringUp, type RunningFederation } from "../up/bring-up.ts";
import { endFederation, livingProcesses } from "../up/running.ts";
import { appsName, usersName } from "../up/planned-process.ts";
import { setWork } from "./apps-client.ts";
import { loadFor, loadOf } from "./demo-load.ts";
import { planForDemo, requireRegion } from "./demo-plan.ts";
import { runRegionLossDrill, type DrillReport } from "./drill-run.ts";
import { DrillView, renderReport } from "./drill-view.ts";
import { sumWindows } from "./request-window.ts";
import { openUsersClient, type UsersClient } from "./users-client.ts";

export interface DemoOptions {
  readonly region: string;
  /** Ends the federation afterwards. */
  readonly once: boolean;
  readonly report?: string;
  readonly portBase?: number;
  /** Requests per second of all users, instead of what the host carries. */
  readonly rate?: number;
  /** Real etcd and nats-server under the planes. */
  readonly engines?: boolean;
  /** Of each engine. */
  readonly members?: number;
}

export interface DrillCommandOptions {
  readonly region: string;
  readonly report?: string;
  readonly outageSeconds: number;
}

const killAfterMs = 15_000;
const observeBeforeMs = 5_000;
const inFlightMin = 50;
const demoOutageMs = 8_000;
const answersWithinMs = 10_000;
const answersEveryMs = 100;

/** `atoll demo`, what `npm start` runs: from nothing to the report of a region's death and return. */
export async function runDemo(context: CommandContext, options: DemoOptions): Promise<number> {
  const { terminal } = context;
  const hadProcesses = livingProcesses(context.dataDir).length > 0;
  let running: RunningFederation | undefined;
  try {
    const startMs = terminal.clock.monotonicMs();
    const plan = await planForDemo(context, options);
    running = await bringUp(context, { ...options, ...(plan === undefined ? {} : { plan }), onPlan: (topology, file) => announce(context, topology, file) });
    const processes = await running.supervisor.list(context.signal);
    const took = ((terminal.clock.monotonicMs() - startMs) / 1000).toFixed(0);
    if (context.output === "table") terminal.print(running.wasRunning ? `Federation ${context.name} already runs: ${summary(processes)}.` : `Up after ${took} s: ${summary(processes)}.`);
    const report = await drill(context, running, { region: options.region, rate: options.rate, outageMs: demoOutageMs, whenToKill: (signal, view) => waitForKey(context, view, options.region, signal) });
    finish(context, report, options.region, options.report);
    if (!options.once) printNext(context, options.region);
    return exitCode(report);
  } catch (error) {
    if (!isAbort(error)) throw error;
    await afterInterrupt(context, { isUp: running !== undefined, hadProcesses, once: options.once });
    return 130;
  } finally {
    await running?.supervisor[Symbol.asyncDispose]();
    if (options.once && livingProcesses(context.dataDir).length > 0) await endWithProgress(context);
  }
}

/** `atoll drill run region-loss`. */
export async function runDrill(context: CommandContext, options: DrillCommandOptions): Promise<number> {
  const running = await bringUp(context, {});
  await using _ = running.supervisor;
  try {
    const report = await drill(context, running, {
      region: options.region,
      rate: undefined,
      outageMs: options.outageSeconds * 1000,
      whenToKill: (signal) => sleep(context.terminal.clock, observeBeforeMs, signal),
    });
    finish(context, report, options.region, options.report);
    return exitCode(report);
  } catch (error) {
    if (!isAbort(error)) throw error;
    await afterInterrupt(context, { isUp: true, hadProcesses: true, once: false });
    return 130;
  }
}

interface DrillParts {
  readonly region: string;
  /** Requests per second of all users; undefined: as many as they send now. */
  readonly rate: number | undefined;
  readonly outageMs: number;
  whenToKill(signal: AbortSignal, view: DrillView): Promise<void>;
}

async function drill(context: CommandContext, running: RunningFederation, parts: DrillParts): Promise<DrillReport> {
  const { plan } = running.topology;
  requireRegion(plan, parts.region);
  const { clock } = context.terminal;
  const users: UsersClient[] = [];
  const view = new DrillView(context.output === "table" ? context.terminal : { ...context.terminal, isInteractive: false, print: context.terminal.note }, parts.region);
  try {
    for (const { region } of plan.users) users.push(await openUsersClient(join(context.dataDir, usersName), region, clock));
    const isDemo = plan.users.every(({ target }) => target === undefined);
    if (!isDemo) await requireKnownServers(users, clock, context.signal);
    return await runRegionLossDrill(
      {
        region: parts.region,
        clock,
        supervisor: running.supervisor,
        users,
        ratePerSecond: parts.rate ?? plan.users.reduce((sum, group) => sum + group.ratePerSecond, 0),
        loadFor: (rate) => (isDemo ? loadFor(rate, parts.region, plan.users.map(({ region }) => region)) : loadOf(plan.users, rate)),
        setWork: (workMs, signal) => setWork(join(context.dataDir, appsName(parts.region)), workMs, clock, signal),
        inFlightMin: isDemo ? inFlightMin : 1,
        outageMs: parts.outageMs,
        hooks: {
          onStep: (step, text) => view.step(step, text),
          onSample: (sample) => view.sample(sample),
          onNote: (text) => view.note(text),
          whenToKill: (signal) => parts.whenToKill(signal, view),
        },
      },
      context.signal,
    );
  } finally {
    for (const client of users) await client[Symbol.asyncDispose]();
  }
}

/** Where a request was served is what a drill is about; the demonstration's applications say it, and a user's own may. @throws {ATOLL_DRILL_REFUSED} */
async function requireKnownServers(users: readonly UsersClient[], clock: Clock, signal: AbortSignal): Promise<void> {
  const untilMs = clock.monotonicMs() + answersWithinMs;
  for (const one of users) {
    for (;;) {
      await one.refresh(signal);
      const { ok, okTotal } = sumWindows(one.windows);
      if (ok["unknown"] !== undefined && ok["unknown"] === okTotal) {
        throw new AtollError("ATOLL_DRILL_REFUSED", `the answers to ${one.region}'s users do not say where they come from: have the application send the field x-region with what ATOLL_REGION holds`);
      }
      if (okTotal > 0 || clock.monotonicMs() > untilMs) break;
      await sleep(clock, answersEveryMs, signal);
    }
  }
}

/** Resolves on `k`, or after 15 s. Without a keyboard only the time counts. */
async function waitForKey(context: CommandContext, view: DrillView, region: string, signal: AbortSignal): Promise<void> {
  const { terminal, keyboard } = context;
  const pressed = new AbortController();
  using _ = keyboard?.onKey((key) => {
    if (key === "k") pressed.abort();
  });
  view.hint(keyboard === undefined ? "" : `k: kill ${region} now; it dies by itself after ${killAfterMs / 1000} s`);
  try {
    await sleep(terminal.clock, killAfterMs, AbortSignal.any([signal, pressed.signal]));
  } catch (error) {
    if (signal.aborted) throw error;
  } finally {
    view.hint("");
  }
}

function finish(context: CommandContext, report: DrillReport, region: string, file: string | undefined): void {
  const { terminal } = context;
  const { drill: score, matrix } = report;
  if (file !== undefined) {
    try {
      writeFileSync(file, `${JSON.stringify({ drill: score, matrix }, null, 2)}\n`);
    } catch (cause) {
      throw new AtollError("ATOLL_USAGE", `the report cannot be written to ${file}`, { cause });
    }
  }
  if (printData(context, { drill: score, matrix })) return;
  terminal.print("");
  for (const line of renderReport(report, region, terminal.width)) terminal.print(line);
  if (file !== undefined) terminal.print(`\nThe report is in ${file}.`);
}

/** A drill is passed when the users were served elsewhere, and no repeatable request failed before and after that. */
function exitCode(report: DrillReport): number {
  return report.drill.failedIdempotentOutsideShift === 0 && report.drill.shiftMs !== null ? 0 : 1;
}

function printNext(context: CommandContext, region: string): void {
  if (context.output !== "table") return;
  const flag = context.flags === "" ? "" : ` ${context.flags}`;
  const lines: readonly (readonly [string, string])[] = [
    ["status", "the whole federation"],
    [`explain web/storefront --from ${region}`, "why its users are served where they are"],
    ["proxy status", "what every proxy has applied"],
    ["get serviceimports", "what each cluster has learned from the others"],
    [`drill run region-loss --region ${region}`, "the same once more"],
    ["down", "end everything"],
  ];
  context.terminal.print("\nThe federation stays up. Try next:");
  const width = Math.max(...lines.map(([command]) => command.length)) + flag.length;
  for (const [command, meaning] of lines) context.terminal.print(`  npx atoll ${(command + flag).padEnd(width)}   ${meaning}`);
}

async function afterInterrupt(context: CommandContext, state: { readonly isUp: boolean; readonly hadProcesses: boolean; readonly once: boolean }): Promise<void> {
  const { terminal } = context;
  terminal.note("");
  const flag = context.flags === "" ? "" : ` ${context.flags}`;
  if (!state.isUp && !state.hadProcesses && !state.once) {
    terminal.note("Interrupted while starting; what had been started is ended.");
    await endWithProgress(context);
  } else if (!state.once) {
    terminal.note(`Interrupted. The federation stays as it is: \`npx atoll up${flag}\` starts what is dead, \`npx atoll down${flag}\` ends everything.`);
  }
}

async function endWithProgress(context: CommandContext): Promise<void> {
  const progress = startProgress(context.terminal);
  progress.step(`ending federation ${context.name}`);
  try {
    // The command's own signal may be what brought us here.
    const { ended } = await endFederation(context.dataDir, context.terminal.clock, new AbortController().signal);
    progress.done();
    if (context.output === "table") context.terminal.print(`Federation ${context.name} has ended (${ended} processes).`);
  } catch (error) {
    progress.done();
    context.terminal.note(`the federation could not be ended: ${describeError(error)}; try \`npx atoll down\``);
  }
}
