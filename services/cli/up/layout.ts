import { join } from "node:path";
import type { FederationPlan } from "./federation-plan.ts";
import { proxyFlags, type EngineChoice, type GatewayAddressPlan, type PlannedProcess, type Stage, type TokenNeed } from "./planned-process.ts";
import type { PortBlock } from "./port-block.ts";
import type { ProcessKind } from "./process-spec.ts";

export interface TopologyOptions {
  readonly dataDir: string;
  /** The directory of the installation: where services/ and proxy/ are. */
  readonly home: string;
  /** The Node binary that runs every process. */
  readonly node: string;
  readonly ports: PortBlock;
  readonly engines: EngineChoice;
}

/** Where everything on one machine listens. */
export const localAddress = "127.0.0.1";

/** One of our own programs, as the parts of a layout say it. */
export interface Addition {
  readonly name: string;
  readonly kind: ProcessKind;
  readonly stage: Stage;
  /** The program and its words, relative to the installation. */
  readonly entry: readonly string[];
  readonly region?: string;
  readonly shownRegion?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokens?: readonly TokenNeed[];
}

/** A federation on one machine while it is laid out: what has been added, and the ports that it took. */
export class Layout {
  readonly plan: FederationPlan;
  readonly options: TopologyOptions;
  readonly processes: PlannedProcess[] = [];
  readonly gateways = new Map<string, GatewayAddressPlan[]>();
  /** The delays between regions that somebody has to play. */
  readonly links: object[] = [];

  constructor(plan: FederationPlan, options: TopologyOptions) {
    this.plan = plan;
    this.options = options;
  }

  /** A program of ours, run by our Node, which writes `ready.json` when it serves. */
  add(addition: Addition): void {
    const { dataDir, home, node } = this.options;
    const { name, kind, stage, region, shownRegion, entry, config, tokens } = addition;
    const configFile = this.path(name, "config.json");
    const [program = "", ...rest] = entry;
    this.processes.push({
      stage,
      configFile,
      config: { ...config, dataDir: join(dataDir, name) },
      tokens: tokens ?? [],
      spec: {
        name,
        kind,
        ...(region === undefined ? {} : { region }),
        ...(shownRegion === undefined ? {} : { shownRegion }),
        command: node,
        args: [...proxyFlags, join(home, program), ...rest, "--config", configFile],
        cwd: home,
        logFile: this.logFile(name),
        readyFile: this.path(name, "ready.json"),
      },
    });
  }

  path(name: string, file: string): string {
    return join(this.options.dataDir, name, file);
  }

  logFile(name: string): string {
    return join(this.options.dataDir, "logs", `${name}.log`);
  }

  /** A port for each of a process's `names`. */
  take<Name extends string>(process: string, ...names: readonly Name[]): Readonly<Record<Name, number>> {
    return Object.fromEntries(names.map((name) => [name, this.options.ports.take(`${process}.${name}`)])) as Record<Name, number>;
  }
}
