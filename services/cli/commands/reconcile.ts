import { inCalls, latestOf, readHeldObjects, type HeldObject } from "#federation/admin-api/held-objects.ts";
import { storeRoutes, type StoreStandingView } from "#federation/admin-api/store-routes.ts";
import { withdrawalRoutes } from "#federation/admin-api/withdrawal-routes.ts";
import { behindWords, type ReconcileDecision } from "#federation/model/store-standing.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printData, printRows } from "../output.ts";
import type { Planes } from "../planes.ts";
import { withFederation } from "./federation.ts";
import { Patience, type Asked } from "./patience.ts";
import { describeBehind } from "./store-findings.ts";

export interface ReconcileOptions {
  readonly keep: boolean;
  readonly takeNewer: boolean;
  readonly without?: readonly string[];
}

/** `atoll reconcile [PLANE]`: shows which stores are behind; with a decision, makes the store of one good again. */
export async function runReconcile(context: CommandContext, plane: string | undefined, options: ReconcileOptions): Promise<number> {
  if (options.keep && options.takeNewer) throw new AtollError("ATOLL_USAGE", "--keep and --take-newer are two decisions: give one");
  const decision: ReconcileDecision | undefined = options.keep ? "keep" : options.takeNewer ? "take-newer" : undefined;
  return await withFederation(context, async ({ planes }) => {
    if (decision === undefined) return await show(context, planes, plane);
    return await decide(context, planes, { plane: plane ?? (await onlyOneBehind(context, planes)), decision, without: options.without ?? [] });
  });
}

type PlaneStore = readonly [plane: string, asked: Asked<StoreStandingView>];

async function askStores(context: CommandContext, planes: Planes): Promise<readonly PlaneStore[]> {
  using patience = new Patience(context.terminal.clock, context.signal);
  const ask = async (plane: string): Promise<PlaneStore> => [plane, await patience.ask(async (inner) => (await planes.plane(plane).call(storeRoutes.store, {}, inner)).body)];
  return await Promise.all(["global", ...planes.clusters].map(ask));
}

async function show(context: CommandContext, planes: Planes, plane: string | undefined): Promise<number> {
  const stores = (await askStores(context, planes)).filter(([name]) => plane === undefined || name === plane);
  if (stores.length === 0) throw unknownPlane(planes, plane ?? "");
  const rows = stores.map(([name, asked]) => ({ plane: name, ...(asked.kind === "answer" ? asked.value : { state: "unknown" as const, error: describeError(asked.error) }) }));
  printRows(context, rows, [
    { title: "STORE OF", value: (row) => row.plane },
    { title: "STATE", value: (row) => row.state },
    { title: "DETAIL", value: (row) => (row.state === "behind" ? behindWords[row.reason] : row.state === "sound" ? `epoch ${row.epoch}` : row.error) },
  ]);
  const behind = rows.filter((row) => row.state === "behind");
  if (behind.length > 0 && context.output === "table") {
    context.terminal.note("");
    for (const row of behind) context.terminal.note(`The store of ${row.plane} ${describeBehind(row)}.`);
    context.terminal.note("--keep goes on with the store as it is; --take-newer reads back what other planes hold of it that is newer,");
    context.terminal.note("and drops what they hold no longer. Either way nothing that was revoked since comes back.");
  }
  return rows.every((row) => row.state === "sound") ? 0 : 1;
}

async function onlyOneBehind(context: CommandContext, planes: Planes): Promise<string> {
  const behind = (await askStores(context, planes)).flatMap(([name, asked]) => (asked.kind === "answer" && asked.value.state === "behind" ? [name] : []));
  const [only] = behind;
  if (only === undefined) throw new AtollError("ATOLL_USAGE", "no plane that answers says that its store is behind: there is nothing to decide");
  if (behind.length > 1) throw new AtollError("ATOLL_USAGE", `the stores of ${behind.join(" and ")} are behind: say which, one after the other`);
  return only;
}

interface Decision {
  readonly plane: string;
  readonly decision: ReconcileDecision;
  /** Planes that are not asked what they hold. */
  readonly without: readonly string[];
}

async function decide(context: CommandContext, planes: Planes, { plane, decision, without }: Decision): Promise<number> {
  if (plane !== "global" && !planes.clusters.includes(plane)) throw unknownPlane(planes, plane);
  const target = planes.plane(plane);
  const isSound = (await target.call(storeRoutes.store, {}, context.signal)).body.state === "sound";
  if (isSound && decision === "take-newer" && plane !== "global") return await refill(context, planes, { plane, without });
  const holders = (plane === "global" ? planes.clusters : ["global"]).filter((name) => !without.includes(name));
  if (holders.length === 0 && decision === "take-newer") throw new AtollError("ATOLL_USAGE", "nobody is left to take from: leave out fewer, or decide with --keep");
  const held = await Promise.all(holders.map(async (name) => await heldBy(planes, name, plane, context.signal)));
  const latest = latestOf(held);
  const taken = isSound ? [] : await bring(target, decision, latest, context.signal);
  const epochAbove = Math.max(0, ...[...latest.values()].map(({ object }) => object.payload.generation.epoch));
  const isHeld = ({ object }: HeldObject): boolean => !object.payload.tombstone;
  const known = holders.length === 0 ? {} : { held: [...latest].filter(([, one]) => isHeld(one)).map(([id]) => id) };
  const { body } = await target.call(storeRoutes.reconcile, { body: { decision, ...known, epochAbove } }, context.signal);
  const undecided = await decideAt(planes, holders, { publisher: plane, epoch: body.epoch }, context.signal);
  if (printData(context, { plane, decision, epoch: body.epoch, taken, dropped: body.dropped, undecided })) return 0;
  if (holders.length === 0) context.terminal.note("Nobody was asked what they hold: what was revoked since the store's state may be in force again.");
  context.terminal.print(`The store of ${plane} counts again, in epoch ${body.epoch}.`);
  for (const id of taken) context.terminal.print(`taken    ${id}`);
  for (const name of body.dropped) context.terminal.print(`dropped  ${name}: nobody holds it any more`);
  for (const holder of undecided) context.terminal.note(`${holder} could not be told of the decision, and may hold what ${plane} does not offer any more: \`atoll withdrawals ${holder}\``);
  return 0;
}

/**
 * Has a cluster whose store is sound, but lacks what it exported, take back what the others hold of it. They go on holding it until it is
 * offered again, so that nothing has to be decided there; and since no right comes back so, who does not answer is left out.
 */
async function refill(context: CommandContext, planes: Planes, { plane, without }: Pick<Decision, "plane" | "without">): Promise<number> {
  const { terminal, signal } = context;
  const asked = ["global", ...planes.clusters].filter((name) => name !== plane && !without.includes(name));
  const answers = await Promise.allSettled(asked.map(async (name) => await heldBy(planes, name, plane, signal)));
  signal.throwIfAborted();
  const held = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  const failures = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  if (held.length === 0) throw failures[0] ?? new AtollError("ATOLL_USAGE", "nobody is left to take from: leave out fewer");
  const silent = asked.filter((_, index) => answers[index]?.status === "rejected");
  const taken = await bring(planes.plane(plane), "take-newer", latestOf(held), signal);
  if (printData(context, { plane, decision: "take-newer", taken, dropped: [], undecided: [], silent })) return 0;
  for (const name of silent) terminal.note(`${name} could not be asked what it holds of ${plane}: ask again when it is back.`);
  terminal.print(taken.length === 0 ? `The store of ${plane} is sound, and lacks nothing that others hold of it.` : `The store of ${plane} is sound, and has taken back what it lacked.`);
  for (const id of taken) terminal.print(`taken    ${id}`);
  if (taken.length > 0) terminal.note("Nobody else knows of services that are not exported, labels and tokens; and approvals of relationships have to be given again.");
  return 0;
}

/** Brings the plane what others hold of it; answers what it took. */
async function bring(target: ReturnType<Planes["plane"]>, decision: ReconcileDecision, latest: ReadonlyMap<string, HeldObject>, signal: AbortSignal): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const objects of inCalls(latest.values())) {
    const { body } = await target.call(storeRoutes.takeObjects, { body: { decision, objects: [...objects] } }, signal);
    taken.push(...body.taken);
  }
  return taken;
}

/** Tells those who hold something of the plane that what the new epoch lacks is decided. Answers whom it could not tell. */
async function decideAt(planes: Planes, holders: readonly string[], body: { readonly publisher: string; readonly epoch: number }, signal: AbortSignal): Promise<readonly string[]> {
  const told = await Promise.all(
    holders.map(async (holder) => {
      try {
        await planes.plane(holder).call(withdrawalRoutes.letGo, { body }, signal);
        return [];
      } catch (error) {
        if (!isAtollError(error) || signal.aborted) throw error;
        return [holder];
      }
    }),
  );
  return told.flat();
}

/** @throws {ATOLL_ADMIN_UNAVAILABLE} naming what to do without it. */
async function heldBy(planes: Planes, holder: string, origin: string, signal: AbortSignal): Promise<readonly HeldObject[]> {
  const advice = `bring it back first, or decide without what it holds: --without ${holder}`;
  try {
    const client = planes.plane(holder);
    const { body: standing } = await client.call(storeRoutes.store, {}, signal);
    if (standing.state === "behind") throw new AtollError("ATOLL_STORE_BEHIND", `the store of ${holder} is behind too, and may hold what was revoked: ${advice}`);
    return await readHeldObjects(client, origin, signal);
  } catch (error) {
    if (error instanceof AtollError && error.code === "ATOLL_STORE_BEHIND") throw error;
    throw new AtollError("ATOLL_ADMIN_UNAVAILABLE", `${holder} cannot be asked what it holds of ${origin}: ${describeError(error)}; ${advice}`, { cause: error });
  }
}

function unknownPlane(planes: Planes, plane: string): AtollError {
  return new AtollError("ATOLL_USAGE", `there is no plane ${plane}; there are global, ${planes.clusters.join(", ")}`);
}
