import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The parts of V8's .cpuprofile that are read here. @see https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[];
  readonly samples: readonly number[];
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[];
}

/** Self time of one function, or of one area, as a share of all time in which the process was busy. */
export interface ProfileShare {
  readonly name: string;
  readonly share: number;
}

/** Where a process spent its time. */
export interface ProfileSummary {
  readonly areas: readonly ProfileShare[];
  readonly functions: readonly ProfileShare[];
}

/** Sums self times; waiting for events is left out. `home` is the repository, to which paths are made relative. */
export function summarizeProfile(profile: CpuProfile, home: string): ProfileSummary {
  const selfMicros = new Map<number, number>();
  for (const [at, id] of profile.samples.entries()) selfMicros.set(id, (selfMicros.get(id) ?? 0) + Math.max(0, profile.timeDeltas[at] ?? 0));
  const areas = new Map<string, number>();
  const functions = new Map<string, number>();
  let busy = 0;
  for (const { id, callFrame } of profile.nodes) {
    const micros = selfMicros.get(id) ?? 0;
    if (micros === 0 || callFrame.functionName === "(idle)") continue;
    busy += micros;
    const file = fileOf(callFrame.url, home);
    const name = `${callFrame.functionName === "" ? "(anonymous)" : callFrame.functionName}  ${file === "" ? "" : `${file}:${callFrame.lineNumber + 1}`}`.trim();
    add(areas, areaOf(callFrame.functionName, file), micros);
    add(functions, name, micros);
  }
  return { areas: sharesOf(areas, busy), functions: sharesOf(functions, busy) };
}

function fileOf(url: string, home: string): string {
  return url.startsWith("file:") ? relative(home, fileURLToPath(url)) : url;
}

/** Our files by folder, Node's own by module, and V8's marks by name: `(program)` is native code, such as TLS and system calls. */
function areaOf(functionName: string, file: string): string {
  if (file === "") return functionName.startsWith("(") ? functionName : "native functions";
  if (file.startsWith("node:")) return file.split("/").slice(0, 2).join("/");
  const [top = "", second] = file.split("/");
  return second === undefined ? top : `${top}/${second}`;
}

function add(sums: Map<string, number>, name: string, micros: number): void {
  sums.set(name, (sums.get(name) ?? 0) + micros);
}

function sharesOf(sums: ReadonlyMap<string, number>, busy: number): readonly ProfileShare[] {
  return [...sums].map(([name, micros]) => ({ name, share: micros / busy })).sort((left, right) => right.share - left.share);
}

/** How the files end that Node writes. */
export const profileSuffix = ".cpuprofile";

/** The profiles that processes wrote into `directory` at their exit, by their file's name. @throws Error when there is none. */
export function readProfiles(directory: string): ReadonlyMap<string, CpuProfile> {
  const files = readdirSync(directory).filter((name) => name.endsWith(profileSuffix));
  if (files.length === 0) throw new Error(`no profile was written to ${directory}: the process did not end by itself`);
  return new Map(files.map((name) => [name.slice(0, -profileSuffix.length), JSON.parse(readFileSync(join(directory, name), "utf8")) as CpuProfile]));
}

const functionsShown = 30;

/** The summary as lines for a terminal. */
export function renderProfile(summary: ProfileSummary): string {
  const line = (entry: ProfileShare): string => `${(entry.share * 100).toFixed(1).padStart(5)} %  ${entry.name}`;
  const areas = summary.areas.filter((entry) => entry.share >= 0.001).map(line);
  return ["by area", ...areas, "by function", ...summary.functions.slice(0, functionsShown).map(line)].join("\n");
}
