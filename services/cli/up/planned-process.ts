import type { ProcessSpec } from "./process-spec.ts";

/** When a process is started: each stage needs what the one before gave. */
export type Stage = "engines" | "global" | "signers" | "planes" | "apps" | "proxies" | "identifiedApps" | "network" | "users";

/** What a process must be given before its first start: a join token, written to `file`. */
export type TokenNeed =
  | { readonly kind: "cluster"; readonly cluster: string; readonly file: string }
  | { readonly kind: "enrolment"; readonly cluster: string; readonly signer: string; readonly file: string }
  | { readonly kind: "workload"; readonly cluster: string; readonly namespace: string; readonly serviceAccount: string; readonly file: string }
  | { readonly kind: "gateway"; readonly cluster: string; readonly file: string };

/** One process with the content of its configuration file. */
export interface PlannedProcess {
  readonly spec: ProcessSpec;
  readonly stage: Stage;
  /** Absent for a user's own program, whose configuration is the user's. */
  readonly configFile?: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration of a program that is not ours, in its own language, instead of `config`. */
  readonly configText?: string;
  readonly tokens: readonly TokenNeed[];
}

/** Where a plane's store and bus are; what differs between the embedded federation and one on real engines. */
export interface EngineChoice {
  /** `owner` is "global" or a cluster's name. */
  store(owner: string): Readonly<Record<string, unknown>>;
  bus(owner: string): Readonly<Record<string, unknown>>;
  /** Whether the embedded hub is needed. */
  readonly needsHub: boolean;
  /** Processes of the engines themselves. */
  readonly processes: readonly PlannedProcess[];
}

/** One address of a cluster's gateway. */
export interface GatewayAddressPlan {
  readonly address: string;
  readonly port: number;
  /** For callers of these regions; absent for everybody else. */
  readonly regions?: readonly string[];
}

/** A proxy's garbage is short-lived: a young generation of 12 MB instead of 48 costs no measurable CPU and saves 8 MB. The others of a federation on one machine have it as well. */
export const proxyFlags = ["--max-semi-space-size=4"];

/** The process name of a cluster's plane. */
export function planeName(cluster: string): string {
  return `${cluster}-plane`;
}

/** The process name of the users of all regions. */
export const usersName = "users";

/** The process name of a region's demo applications. */
export function appsName(region: string): string {
  return `${region}-apps`;
}

/** The path of the embedded hub's socket. */
export function busSocketPath(dataDir: string): string {
  return `${dataDir}/bus.sock`;
}
