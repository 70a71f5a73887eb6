import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import { readConfigFile, type Field } from "#federation/runtime/config.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { untilAborted } from "#federation/runtime/lifecycle.ts";
import { runProcess, writeReadyFile, type ReadyPorts } from "#federation/runtime/process.ts";

/** What every demo process reads besides its own part. */
export interface DemoConfig {
  readonly name: string;
  readonly dataDir: string;
}

/** A demo process that serves: the ports it listens on, and how it ends. */
export interface DemoService {
  readonly ports: ReadyPorts;
  /** Stops taking work, finishes what is in flight, then resolves. */
  drain(): Promise<void>;
}

/** The frame of every demo process: `--config FILE`, `<dataDir>/ready.json` once it serves, a drained end on SIGTERM. */
export function runDemoProcess<C extends DemoConfig>(args: readonly string[], field: Field<C>, start: (config: C, clock: Clock) => Promise<DemoService>): void {
  runProcess(async (signal) => {
    const [flag, path, ...rest] = args;
    if (flag !== "--config" || path === undefined || rest.length > 0) throw new AtollError("ATOLL_CONFIG_INVALID", "usage: --config FILE");
    const config = readConfigFile(path, field);
    const service = await start(config, systemClock);
    writeReadyFile(config.dataDir, service.ports);
    await untilAborted(signal);
    await service.drain();
  });
}
