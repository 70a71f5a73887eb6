import { writeFileSync } from "node:fs";
import { renderLine } from "../../../harness/render-line.ts";
import { reportProgress } from "../../../harness/run-measure.ts";
import { describeMachine } from "../../report.ts";
import { measureImports, type ImportsResult } from "../imports/measure-imports.ts";
import { measureIdle, measureLoaded, type IdleResult, type LoadedResult } from "./change-load.ts";
import { LiveMesh } from "./live-mesh.ts";
import { parseReplicationArguments, usage } from "./replication-arguments.ts";

/** What `npm run bench -- replication` prints, a line of JSON. */
export interface ReplicationLine {
  readonly services: number;
  readonly idle: IdleResult;
  /** 99th percentile of a change to that of a bare put and hop. */
  readonly idleRatio: number;
  readonly loaded: readonly (LoadedResult & { readonly ratio: number })[];
}

/** From a change at one region's plane until a proxy of another has been told, beside a bare put and hop over the same engines. */
export async function measureReplication(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseReplicationArguments(args);
  if (parsed.help) {
    console.log(usage);
    return;
  }
  const machine = describeMachine(false);
  reportProgress(`${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load average before ${machine.loadBefore.toFixed(1)}`);
  if (parsed.imports !== undefined) {
    reportProgress(`filling a store with ${parsed.imports} imports, and starting a plane over it`);
    printLine(await measureImports(parsed.imports, signal), parsed.jsonPath);
    return;
  }
  reportProgress(`starting two regions on etcd and NATS, and declaring ${parsed.services} services`);
  await using mesh = await LiveMesh.start(parsed.services, signal);
  reportProgress(`${parsed.changes} changes, one after the other`);
  const idle = await measureIdle(mesh, parsed.changes, signal);
  const loaded: ReplicationLine["loaded"][number][] = [];
  for (const rate of parsed.rates) {
    reportProgress(`${rate} changes a second`);
    const result = await measureLoaded(mesh, { rate, seconds: parsed.seconds }, signal);
    loaded.push({ ...result, ratio: result.arrived.p99Ms / idle.hop.p99Ms });
  }
  const line: ReplicationLine = { services: parsed.services, idle, idleRatio: idle.arrived.p99Ms / idle.hop.p99Ms, loaded };
  printLine(line, parsed.jsonPath);
}

function printLine(line: ReplicationLine | ImportsResult, jsonPath: string | undefined): void {
  const text = `${renderLine(line)}\n`;
  if (jsonPath !== undefined) writeFileSync(jsonPath, text);
  process.stdout.write(text);
}
