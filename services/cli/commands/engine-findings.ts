import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import type { EtcdReach } from "#federation/model/engine-report.ts";
import { clockWords, isClockApart } from "#federation/model/clock-offset.ts";
import { clockAdvice } from "./clock-findings.ts";

type Told = Pick<FederationStatus | ClusterStatus, "engines">;
type EngineRow = NonNullable<Told["engines"]>[number];
type EtcdRow = Extract<EngineRow, { readonly kind: "etcd" }>;
type NatsRow = Extract<EngineRow, { readonly kind: "nats" }>;
type Seen<Row extends EngineRow> = readonly [plane: string, row: Row];

/** The first releases that planes are tried with. */
const oldest = { etcd: [3, 4], nats: [2, 9] } as const;
/** A database is to be looked after before it is full. */
const quotaUsedRatioMax = 0.8;
/** As much of a file is free that compacting it is worth more than a larger quota. */
const usedRatioLow = 0.5;
/** In a minute. One is an accident, or a process that was stopped for a moment. */
const slowSyncsMin = 3;
/** So many writes without one sync are no chance. */
const unsyncedWritesMin = 10;
/** A message between planes has 256 KiB, and its subject and headers besides. */
const messageBytesMin = 512 * 1024;

const reachWords: Readonly<Record<EtcdReach, string>> = {
  read: "read what is not its own",
  write: "write what is not its own",
  nested: "read what is not its own, by a transaction within a transaction, which this version judges by nobody's rights",
};

/** What is not as it should be with the engines of planes, as the planes themselves see them, and what to do about it; each engine once. Pure. */
export function engineProblems(planes: readonly (readonly [plane: string, told: Told])[]): readonly string[] {
  const all = planes.flatMap(([plane, { engines = [] }]) => engines.map((engine) => [plane, engine] as const));
  const byAddress = Map.groupBy(all, ([, { address }]) => address);
  return [...byAddress.values()].flatMap((seen) => {
    const etcd = seen.filter((one): one is Seen<EtcdRow> => one[1].kind === "etcd");
    const nats = seen.filter((one): one is Seen<NatsRow> => one[1].kind === "nats");
    return [...etcdProblems(etcd, all), ...natsProblems(nats)];
  });
}

function etcdProblems(seen: readonly Seen<EtcdRow>[], all: readonly Seen<EngineRow>[]): readonly string[] {
  const [first] = seen;
  if (first === undefined) return [];
  const [plane, report] = seen.find(([, { silent }]) => silent === undefined) ?? first;
  const where = `etcd at ${report.address}`;
  // Of an etcd that has one member, its planes say that their store is away.
  const hasOthers = all.some(([other, { kind, address }]) => other === plane && kind === "etcd" && address !== report.address);
  if (report.silent !== undefined) return hasOthers ? [`${where} does not answer ${planesOf(seen)}: ${report.silent}; its etcd bears the loss of no further member until it is back`] : [];
  const { version, database, alarms = [], syncs } = report;
  // Without any leader anywhere, its planes say that their store is away.
  const isCutOff = report.hasLeader === false && all.some(([other, row]) => other === plane && row.kind === "etcd" && row.hasLeader === true);
  const ahead = seen.filter(([, { clockAheadMs = 0 }]) => isClockApart(clockAheadMs));
  return [
    ...versionProblems(where, version, { oldest: oldest.etcd, words: "3.4" }),
    ...(isCutOff ? [`${where} answers ${planesOf(seen)} and is cut from the other members: see that their machines reach each other at the ports for peers; its etcd bears the loss of no further member until then`] : []),
    ...(alarms.includes("NOSPACE") ? [`${where} is full and refuses writes: compact and defragment it, or give it more by --quota-backend-bytes, then disarm the alarm (\`etcdctl alarm disarm\`)`] : []),
    ...(alarms.includes("CORRUPT") ? [`${where} or another member of it found that its data differ from the others': take the one that differs out and add it anew with an empty directory`] : []),
    ...(database?.quotaBytes === undefined || alarms.includes("NOSPACE") || database.bytes <= quotaUsedRatioMax * database.quotaBytes
      ? []
      : [`${where} has used ${Math.round((100 * database.bytes) / database.quotaBytes)} % of its quota and refuses writes when that is full: ${database.usedBytes < usedRatioLow * database.bytes ? "most of the file is free, defragment it (`etcdctl defrag`)" : "give it more by --quota-backend-bytes"}`]),
    ...(syncs !== undefined && syncs.count === 0 && syncs.writes >= unsyncedWritesMin ? [`${where} brings nothing of its log to the disk: what it acknowledges is lost with the machine's power; start it without --unsafe-no-fsync`] : []),
    ...(syncs !== undefined && syncs.slow >= slowSyncsMin ? [`${where} took longer than a second to bring its log to the disk ${syncs.slow} times in a minute, of ${syncs.count}, and writes are refused by then: give its data directory a disk that it shares with nobody, or a faster one`] : []),
    ...ahead.map(([who, { clockAheadMs = 0 }]) => `the clock of ${where} is ${clockWords(clockAheadMs)} that of the plane of ${who}, and ${clockAdvice}`),
    ...seen.flatMap(([who, { reaches = [] }]) =>
      reaches.length === 0 ? [] : [`${where} lets the plane of ${who} ${reaches.map((reach) => reachWords[reach]).join(" and ")}: ${reaches.includes("nested") ? `update it, from ${version ?? "its version"} to 3.4.44, 3.5.30, 3.6.11 or newer, or give each plane an etcd of its own` : "tell it its planes by `atoll secure-engines`, with containers of --compose by `sh compose.sh`, or with `atoll up` by `atoll down` and `atoll up`"}`],
    ),
  ];
}

function natsProblems(seen: readonly Seen<NatsRow>[]): readonly string[] {
  const [first] = seen;
  if (first === undefined) return [];
  const [, { address, version, messageBytesMax }] = first;
  const where = `nats-server at ${address}`;
  return [
    ...versionProblems(where, version, { oldest: oldest.nats, words: "2.9" }),
    ...(messageBytesMax < messageBytesMin ? [`${where} takes messages of ${messageBytesMax} bytes at most, and planes send larger ones: set max_payload to 1048576`] : []),
    ...seen.flatMap(([who, { reaches }]) => (reaches.length === 0 ? [] : [`${where} lets the plane of ${who} ${reaches.map((reach) => (reach === "hear" ? "hear what is sent to others" : "speak where others do")).join(" and ")}: give each plane permissions of its own, as the nats.conf of \`atoll bootstrap\` does`])),
  ];
}

function versionProblems(where: string, version: string | undefined, { oldest: [major, minor], words }: { readonly oldest: readonly [number, number]; readonly words: string }): readonly string[] {
  const [, a = Number.NaN, b = Number.NaN] = (/^(\d+)\.(\d+)\./.exec(version ?? "") ?? []).map(Number);
  return a < major || (a === major && b < minor) ? [`${where} is of version ${version}, and planes are tried with ${words} and newer: update it`] : [];
}

function planesOf(seen: readonly (readonly [plane: string, unknown])[]): string {
  return `the plane${seen.length === 1 ? "" : "s"} of ${seen.map(([plane]) => plane).join(", ")}`;
}
