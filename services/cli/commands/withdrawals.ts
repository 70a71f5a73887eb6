import { withdrawalRoutes } from "#federation/admin-api/withdrawal-routes.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printData, printRows } from "../output.ts";
import type { Planes } from "../planes.ts";
import { withFederation } from "./federation.ts";
import { Patience } from "./patience.ts";

export interface WithdrawalsOptions {
  readonly letGo: boolean;
  readonly of?: string;
}

/** What one plane holds of what one publisher has withdrawn. */
interface HeldRow {
  readonly plane: string;
  readonly publisher: string;
  readonly held: number;
  /** Ids, at most as many as an answer names. */
  readonly objects: readonly string[];
}

/** `atoll withdrawals [PLANE]`: what planes hold although its publisher has withdrawn it; with `--let-go`, removes it. */
export async function runWithdrawals(context: CommandContext, plane: string | undefined, options: WithdrawalsOptions): Promise<number> {
  return await withFederation(context, async ({ planes }) => {
    const all = ["global", ...planes.clusters];
    if (plane !== undefined && !all.includes(plane)) throw new AtollError("ATOLL_USAGE", `there is no plane ${plane}; there are ${all.join(", ")}`);
    const { rows, silent } = await askHeld(context, planes, plane === undefined ? all : [plane]);
    const chosen = rows.filter(({ publisher }) => options.of === undefined || publisher === options.of);
    for (const line of silent) context.terminal.note(`${context.terminal.paint.warn("no answer")}  ${line}`);
    if (options.letGo) return await letGo(context, planes, chosen);
    printRows(context, chosen, [
      { title: "AT", value: (row) => row.plane },
      { title: "WITHDRAWN BY", value: (row) => row.publisher },
      { title: "HELD", value: (row) => String(row.held), align: "right" },
      { title: "OBJECTS", value: (row) => named(row) },
    ]);
    return chosen.length === 0 && silent.length === 0 ? 0 : 1;
  });
}

async function askHeld(context: CommandContext, planes: Planes, names: readonly string[]): Promise<{ readonly rows: readonly HeldRow[]; readonly silent: readonly string[] }> {
  using patience = new Patience(context.terminal.clock, context.signal);
  const asked = await Promise.all(names.map(async (plane) => [plane, await patience.ask(async (inner) => (await planes.plane(plane).call(withdrawalRoutes.withdrawals, {}, inner)).body.publishers)] as const));
  return {
    rows: asked.flatMap(([plane, answer]) => (answer.kind === "answer" ? answer.value.map((row) => ({ plane, ...row })) : [])),
    silent: asked.flatMap(([plane, answer]) => (answer.kind === "failed" ? [`${plane}: ${describeError(answer.error)}`] : [])),
  };
}

async function letGo(context: CommandContext, planes: Planes, rows: readonly HeldRow[]): Promise<number> {
  if (rows.length === 0) throw new AtollError("ATOLL_USAGE", "no plane that answers holds anything that was withdrawn: there is nothing to let go");
  const gone: { readonly plane: string; readonly publisher: string; readonly removed: number }[] = [];
  for (const { plane, publisher } of rows) {
    const { body } = await planes.plane(plane).call(withdrawalRoutes.letGo, { body: { publisher } }, context.signal);
    gone.push({ plane, publisher, removed: body.removed });
  }
  if (printData(context, gone)) return 0;
  for (const { plane, publisher, removed } of gone) context.terminal.print(`${plane} has removed ${removed} object${removed === 1 ? "" : "s"} of ${publisher}.`);
  return 0;
}

/** Objects named in a row of the table. */
const namedMax = 3;

function named({ objects, held }: HeldRow): string {
  const more = held - Math.min(objects.length, namedMax);
  return `${objects.slice(0, namedMax).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
