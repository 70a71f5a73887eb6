/** What a process is to the federation. */
export type ProcessKind = "bus" | "engine" | "global" | "plane" | "gateway" | "sidecar" | "app" | "relay" | "users";

/** One process that the supervisor can start: everything it needs to know about it, and nothing secret. */
export interface ProcessSpec {
  /** Unique in the federation; also the name of its data directory and log file. */
  readonly name: string;
  readonly kind: ProcessKind;
  /** The region it dies with; absent for what stands outside every region (the network, the users and their edge). */
  readonly region?: string;
  /** The region it stands in, for people. */
  readonly shownRegion?: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** The file that the process writes once it serves (`{pid, ports}`); absent for programs of others, which are ready when `readyPort` accepts. */
  readonly readyFile?: string;
  readonly readyPort?: number;
  /** Has a program of others read its files anew while it runs; absent where it does so by itself, or never. */
  readonly reloadSignal?: "SIGHUP";
  /** A user's program may start others (a shell, npm): they are a group that is signalled, and ends, as one. */
  readonly isGroup?: boolean;
}

/** `running` includes starting; `killed` is on purpose (a drill), so the supervisor leaves it dead. */
export type ProcessState = "starting" | "running" | "backoff" | "killed" | "stopped";

/** What the supervisor says of one process. */
export interface ProcessView {
  readonly name: string;
  readonly kind: ProcessKind;
  readonly region?: string;
  readonly state: ProcessState;
  readonly pid?: number;
  readonly ports: Readonly<Record<string, number>>;
  /** How often it was started again after it ended by itself. */
  readonly restarts: number;
  /** Wall-clock ms of the last start. */
  readonly startedAtMs?: number;
  /** Resident memory, bytes, where the system tells. */
  readonly memoryBytes?: number;
  readonly logFile: string;
}
