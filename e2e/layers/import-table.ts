/** Which of our folders a folder may import: DESIGN.md §3 as data. The first rule whose `from` is a prefix of a file's path holds for it. */
export interface ImportRule {
  readonly from: string;
  /** Path prefixes, besides the file's own folder (`from`). */
  readonly may: readonly string[];
  /** A pure core: no I/O, no clock, no async. */
  readonly pure?: true;
}

const core = ["federation/runtime/", "federation/model/"];
/** The one file of telemetry that adapters see: what they log to, without knowing how (docs/adr/0003). */
const loggerPort = "federation/telemetry/logger.ts";
const contracts = ["federation/runtime/", "federation/model/", "federation/routing/", "federation/admin-api/"];

export const importTable: readonly ImportRule[] = [
  { from: "federation/runtime/", may: [] },
  { from: "federation/model/", may: ["federation/runtime/"] },
  { from: "federation/routing/", may: core, pure: true },
  { from: "federation/health/", may: core, pure: true },
  { from: "federation/replication/core/", may: core, pure: true },
  { from: "federation/telemetry/", may: core },
  { from: "federation/identity/", may: core },
  { from: "federation/wire/", may: core },
  { from: "federation/store/", may: [...core, loggerPort] },
  { from: "federation/bus/", may: [...core, loggerPort] },
  { from: "federation/catalog/", may: [...core, "federation/wire/", "federation/store/store.ts"] },
  { from: "federation/admin-api/", may: [...core, "federation/wire/"] },
  {
    from: "federation/replication/",
    may: [...core, "federation/catalog/", "federation/bus/bus.ts", "federation/identity/", "federation/wire/", "federation/health/", "federation/telemetry/"],
  },
  { from: "federation/history/", may: [...core, "federation/catalog/", "federation/store/", "federation/telemetry/", "federation/wire/"] },
  { from: "services/global/", may: ["federation/"] },
  { from: "services/cluster/", may: ["federation/"] },
  { from: "services/bus/", may: ["federation/"] },
  { from: "services/demo/", may: core },
  { from: "services/cli/", may: contracts },
  { from: "services/console/", may: contracts },
  { from: "terraform/", may: [...contracts, "federation/identity/", "docs/schemas/"] },
  {
    from: "proxy/",
    may: [...core, "federation/telemetry/", "federation/routing/", "federation/health/", "federation/identity/", "federation/wire/"],
  },
  { from: "e2e/", may: ["federation/", "services/", "proxy/", "terraform/"] },
];

/** Folders whose adapters stand side by side and never import each other: a file there may import only its port and what is not an adapter. */
export const adapterFolders: readonly { readonly folder: string; readonly adapters: RegExp }[] = [
  { folder: "federation/store/", adapters: /^(sqlite|etcd)-/ },
  { folder: "federation/bus/", adapters: /^(memory|socket|nats)-/ },
];

/** Calls that belong behind the ports of federation/runtime. */
export const bannedCalls: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /\bDate\.now\(/, instead: "Clock.nowMs" },
  { pattern: /\bperformance\.now\(/, instead: "Clock.monotonicMs" },
  { pattern: /\bMath\.random\(/, instead: "Random.next" },
  { pattern: /(?<![.\w])set(Timeout|Interval)\(/, instead: "Clock.schedule" },
];
