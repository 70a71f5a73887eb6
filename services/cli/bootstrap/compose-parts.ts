import type { EnginePlace } from "#federation/model/federation-description.ts";
import { composeApps } from "./compose-apps.ts";
import { machineService, machineVolumes, programService, volume, type ComposeSource } from "./compose-file.ts";
import { machineEtcds } from "./machine-etcds.ts";
import type { Machine, MachineLayout, MachineProcess } from "./machine-layout.ts";

/** The part that every region rests on: the global plane, and the machines and engines that it stands on. No region can be called so. */
export const globalPart = "@global";

/** What of a compose file can come and go by itself: the global plane, or a region. */
export interface ComposePart {
  /** `globalPart`, or the region's name. */
  readonly name: string;
  /** Whose files its programs read. */
  readonly machines: readonly string[];
  readonly services: readonly string[];
  readonly volumes: readonly string[];
  /** Regions whose etcd has the stores of its planes; that of the global plane's region is in two parts. */
  readonly etcds: readonly string[];
}

/** All parts, that of the global plane first. Pure. */
export function composeParts(source: ComposeSource): readonly ComposePart[] {
  const { layout } = source;
  const members = layout.machines.flatMap((machine) => membersOf(machine, source));
  const etcds = machineEtcds(layout);
  const regions = [...new Set(layout.machines.map(({ host }) => host.region as string))];
  return [globalPart, ...regions].map((name) => {
    const own = members.filter(({ part }) => part === name);
    return {
      name,
      machines: layout.machines.filter((machine) => (name === globalPart ? partOf(machine, layout) === globalPart : machine.host.region === name)).map(machineService),
      services: own.map(({ service }) => service),
      volumes: own.flatMap(({ volumes }) => volumes),
      etcds: etcds.filter(({ region, planes }) => (name === globalPart ? planes.includes("global") : region === name)).map(({ region }) => region),
    };
  });
}

interface Member {
  readonly part: string;
  readonly service: string;
  readonly volumes: readonly string[];
}

function membersOf(machine: Machine, { layout, baseDir }: ComposeSource): readonly Member[] {
  const { host, engines, processes } = machine;
  const part = partOf(machine, layout);
  const own = machineVolumes(machine).filter((name) => !processes.some((process) => process.name === name)).map((name) => volume(machine, name));
  return [
    { part, service: machineService(machine), volumes: own },
    ...(engines === undefined ? [] : ["etcd", "nats"].map((name) => ({ part, service: programService(machine, name), volumes: [] }))),
    ...processes.map((process: MachineProcess) => ({ part: process.program === "global" ? globalPart : host.region, service: programService(machine, process.name), volumes: [volume(machine, process.name)] })),
    ...composeApps(machine, layout, baseDir).map(({ name }) => ({ part: host.region, service: programService(machine, name), volumes: [] })),
  ];
}

/** The machine of the global plane and those with the engines that it keeps its state in are not a region's to take away. */
function partOf({ host, engines }: Machine, { placement }: MachineLayout): string {
  const { region } = globalEngines(placement);
  return host.name === placement.globalHost || engines?.region === region ? globalPart : host.region;
}

/** Those of its region, or of the first one where its region has none, as the layout gives them to it. */
function globalEngines({ hosts, globalHost, engines }: MachineLayout["placement"]): EnginePlace {
  const region = hosts.find(({ name }) => name === globalHost)?.region;
  const found = engines.find((place) => place.region === region) ?? engines[0];
  if (found === undefined) throw new Error("a federation on machines has engines: the description was not checked");
  return found;
}
