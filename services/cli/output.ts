import { stringify } from "yaml";
import type { CommandContext } from "./context.ts";
import { renderTable, type Column } from "./table.ts";

/** Prints `data` as JSON or YAML when asked for, else `rows` as a table; says so when there are none. */
export function printRows<Row>(context: CommandContext, rows: readonly Row[], columns: readonly Column<Row>[], data: unknown = rows): void {
  if (printData(context, data)) return;
  if (rows.length === 0) context.terminal.note("none");
  else for (const line of renderTable(columns, rows, context.terminal.width)) context.terminal.print(line);
}

/** Prints `data` when JSON or YAML is asked for; false when a person is to be shown something instead. */
export function printData(context: CommandContext, data: unknown): boolean {
  if (context.output === "json") context.terminal.print(JSON.stringify(data, null, 2));
  else if (context.output === "yaml") context.terminal.print(stringify(data).trimEnd());
  return context.output !== "table";
}

/** `1.2 GB`, `64 MB`. */
export function bytes(count: number): string {
  const mega = count / 1_000_000;
  return mega >= 1_000 ? `${(mega / 1_000).toFixed(1)} GB` : `${mega.toFixed(0)} MB`;
}
