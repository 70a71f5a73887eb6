import { rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { objectField, readConfigFile, stringField } from "#federation/runtime/config.ts";
import { openControlServer } from "#federation/runtime/control-socket.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { installationDirectory } from "#federation/runtime/installation.ts";
import { builtProgram } from "../programs/built-program.ts";
import { clientArguments } from "./client-access.ts";
import { keepClients, type DueClient } from "./client-renewal.ts";
import { keepEngines } from "./engine-renewal.ts";
import { engineView, keptCertificates } from "./kept-engines.ts";
import { keepIssuing, runRenewIssuing } from "./issuing-renewal.ts";
import type { ProcessSpec } from "./process-spec.ts";
import { runInit } from "./run-init.ts";
import { processesFileName, Supervisor, supervisorSocketName, type Selection } from "./supervisor.ts";

const configField = objectField({ name: stringField({ max: 128 }), dataDir: stringField() });

/** The process that outlives `atoll up`: everything else of the federation is its child. */
async function main(args: readonly string[]): Promise<void> {
  const [flag, path] = args;
  if (flag !== "--config" || path === undefined) throw new Error("usage: --config FILE");
  const { dataDir } = readConfigFile(path, configField);
  const log = (message: string): void => void process.stderr.write(`${new Date(systemClock.nowMs()).toISOString()} ${message}\n`);
  const supervisor = new Supervisor({ dataDir, clock: systemClock, env: process.env, log, programAt: (path) => builtProgram(installationDirectory, path) });
  const installation = { node: process.execPath, home: installationDirectory, env: process.env };
  const renewing = new AbortController();
  let renewal: Promise<unknown> = Promise.resolve();
  let isEnding = false;
  const end = async (): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    renewing.abort();
    await renewal;
    await supervisor.stopAll();
    log("everything has ended");
    rmSync(join(dataDir, processesFileName), { force: true });
    rmSync(join(dataDir, supervisorSocketName), { force: true });
    // The answer to `stopAll` is still on its way out.
    setImmediate(() => process.exit(0));
  };
  await openControlServer(join(dataDir, supervisorSocketName), {
    add: (params) => supervisor.add((params as { specs: readonly ProcessSpec[] }).specs),
    remove: (params) => supervisor.remove((params as { names: readonly string[] }).names),
    list: () => supervisor.list(),
    waitReady: (params, signal) => supervisor.waitReady((params as { names: readonly string[] }).names, signal),
    kill: (params) => supervisor.kill(params as Selection),
    start: (params) => supervisor.start(params as Selection),
    stop: (params) => supervisor.stop(params as Selection),
    stopAll: () => end(),
    ping: () => ({ pid: process.pid }),
  });
  const keysDir = join(dataDir, "global");
  const renewClient = ({ name, server }: DueClient, signal: AbortSignal): Promise<void> => runInit(installation, keysDir, clientArguments([{ name }], server), signal);
  const engines = {
    ...engineView(dataDir, () => supervisor.specs("engine")),
    kept: () => keptCertificates(dataDir),
    renew: (words: readonly string[], signal: AbortSignal) => runInit(installation, keysDir, words, signal),
    reload: (name: string) => supervisor.reload(name),
  };
  // Whatever it meets, the federation goes on.
  const lookAfter = (whose: string, work: Promise<void>): Promise<void> => work.catch((error: unknown) => log(`certificates of ${whose} are not looked after any more: ${describeError(error)}`));
  if (!isEnding) {
    renewal = Promise.all([
      lookAfter("the federation", keepIssuing({ keysDir, renew: (signal) => runRenewIssuing(installation, keysDir, [], signal), clock: systemClock, log }, renewing.signal)),
      lookAfter("clients", keepClients({ dataDir, renew: renewClient, clock: systemClock, log }, renewing.signal)),
      lookAfter("engines", keepEngines({ ...engines, clock: systemClock, log }, renewing.signal)),
    ]);
  }
  process.on("SIGTERM", () => void end());
  process.on("SIGINT", () => void end());
  // A terminal that closes is no reason to end: the federation goes on until `atoll down`.
  process.on("SIGHUP", () => log("SIGHUP ignored"));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 2;
}
