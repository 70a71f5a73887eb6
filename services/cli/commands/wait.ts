import { followRollout, type FollowedWrite, type PlaneWords } from "#federation/admin-api/follow-rollout.ts";
import { rolloutRoute } from "#federation/admin-api/rollout-route.ts";
import { describeMissing, rolloutRows, type RolloutRow } from "#federation/admin-api/rollout-rows.ts";
import { kindInfos, resourceId } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printRows } from "../output.ts";
import type { Planes } from "../planes.ts";
import { startProgress } from "../terminal.ts";
import { withFederation } from "./federation.ts";
import { parseKindAndName } from "./kind-names.ts";

/** `--wait` and `--timeout`, in seconds. */
export interface WaitOption {
  readonly wait: boolean;
  readonly timeout?: number;
}

export interface WaitCommandOptions {
  readonly cluster?: readonly string[];
  readonly timeout?: number;
  readonly deleted: boolean;
}

/** How long is waited unless `--timeout` says so. */
export const waitSecondsUsual = 60;

/** Seconds that one question waits: on a terminal the ages that are shown go on. */
const questionSeconds = { onTerminal: 1, elsewhere: 10 } as const;

/** `atoll wait KIND/NAME`. */
export async function runWait(context: CommandContext, text: string, { cluster: clusters = [], timeout, deleted }: WaitCommandOptions): Promise<number> {
  const { kind, path } = parseKindAndName(text);
  const { owner } = kindInfos[kind];
  if (owner === "derived") throw new AtollError("ATOLL_USAGE", `a ${kind} is derived: wait for what it comes from`);
  if (owner === "cluster" && clusters.length === 0) throw new AtollError("ATOLL_USAGE", `a ${kind} belongs to a cluster: say to which with --cluster`);
  if (owner === "global" && clusters.length > 0) throw new AtollError("ATOLL_USAGE", `a ${kind} belongs to the whole federation: leave --cluster out`);
  const targets = owner === "global" ? ["global"] : clusters;
  return await withFederation(context, async ({ planes }) => await awaitRollouts(context, planes, targets.map((plane) => ({ kind, path, plane, deleted })), timeout));
}

interface Followed {
  readonly write: FollowedWrite;
  readonly rows: readonly RolloutRow[];
}

/** Waits until everybody has all of `writes`, and shows who has. @throws {ATOLL_ROLLOUT_INCOMPLETE} naming who has not. */
export async function awaitRollouts(context: CommandContext, planes: Planes, writes: readonly (FollowedWrite & { readonly outcome?: string })[], timeout = waitSecondsUsual): Promise<number> {
  const { clock } = context.terminal;
  const endMs = clock.monotonicMs() + timeout * 1_000;
  // Where nobody watches, only the end is told.
  const progress = context.terminal.isErrorInteractive ? startProgress(context.terminal) : undefined;
  const followed: Followed[] = [];
  try {
    for (const write of writes) {
      const words = await followRollout(
        write,
        {
          ask: async (plane, kind, params, query, signal) => (await (plane === "global" ? planes.global() : planes.cluster(plane)).call(rolloutRoute(kind), { params, query }, signal)).body,
          clusters: planes.clusters,
          endMs,
          waitSeconds: context.terminal.isErrorInteractive ? questionSeconds.onTerminal : questionSeconds.elsewhere,
          onWord: (now) => progress?.step(describeProgress(write, now)),
          clock,
        },
        context.signal,
      );
      followed.push({ write, rows: rolloutRows(write, words) });
    }
  } finally {
    progress?.done();
  }
  print(context, followed);
  const incomplete = followed.filter(({ rows }) => !isDone(rows));
  const [first] = incomplete;
  if (first === undefined) return 0;
  const others = incomplete.length === 1 ? "" : `; and ${incomplete.length - 1} more of ${followed.length} resources`;
  throw new AtollError("ATOLL_ROLLOUT_INCOMPLETE", `after ${timeout} s ${describeCount(first.rows)} ${first.write.deleted ? "are rid of" : "have"} ${nameOf(first.write)}: ${describeMissing(first.rows)}${others}`);
}

function describeProgress(write: FollowedWrite, words: PlaneWords): string {
  const rows = rolloutRows(write, words);
  const missing = describeMissing(rows);
  return `${nameOf(write)}: ${describeCount(rows)}${missing === "" ? "" : `; ${missing}`}`;
}

interface PrintedRow extends RolloutRow {
  readonly name: string;
}

function print(context: CommandContext, followed: readonly Followed[]): void {
  const rows = followed.flatMap(({ write, rows: of }) => of.map((row): PrintedRow => ({ ...row, name: nameOf(write) })));
  const data = followed.map(({ write: { kind, path, plane, ...write }, rows: clusters }) => ({ kind, id: resourceId(path), plane, ...write, done: isDone(clusters), clusters }));
  printRows(
    context,
    rows,
    [
      { title: "RESOURCE", value: (row) => row.name },
      { title: "CLUSTER", value: (row) => row.cluster },
      { title: "STATE", value: (row) => row.state },
      { title: "PROXIES", value: (row) => (row.proxies === undefined ? "-" : `${row.proxies.done} of ${row.proxies.total}`) },
      { title: "DETAIL", value: (row) => row.detail },
    ],
    data,
  );
}

function isDone(rows: readonly RolloutRow[]): boolean {
  return rows.every(({ state }) => state === "done");
}

function describeCount(rows: readonly RolloutRow[]): string {
  return `${rows.filter(({ state }) => state === "done").length} of ${rows.length} clusters`;
}

function nameOf({ kind, path }: FollowedWrite): string {
  return `${kind} ${resourceId(path)}`;
}
