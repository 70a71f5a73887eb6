import { stripVTControlCharacters } from "node:util";

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  value(row: Row): string;
  readonly align?: "left" | "right";
}

/** Between two columns. */
const gap = "   ";
/** No column is squeezed below this. */
const narrowest = 8;

/**
 * `rows` under their titles, columns as wide as their widest cell. When the whole is wider than `maxWidth`, the widest
 * columns give way and cut cells end in "…". No trailing spaces. Returns lines without line ends.
 */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], maxWidth = Number.POSITIVE_INFINITY): readonly string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => columns.map((column) => oneLine(column.value(row))))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => displayWidth(line[index] ?? ""))));
  squeeze(widths, maxWidth - gap.length * (columns.length - 1));
  return cells.map((line) =>
    line
      .map((cell, index) => pad(cut(cell, widths[index] ?? 0), widths[index] ?? 0, columns[index]?.align ?? "left"))
      .join(gap)
      .trimEnd(),
  );
}

/** Columns on a terminal that `text` takes: colours take none. East Asian wide characters do not occur in names here. */
export function displayWidth(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

/** `text` padded with spaces to `width`. */
export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
}

function squeeze(widths: number[], available: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= narrowest) return;
    widths[widest] = width - 1;
    excess--;
  }
}

function cut(text: string, width: number): string {
  // A coloured cell is never cut: half an escape sequence would colour what follows.
  if (displayWidth(text) <= width || stripVTControlCharacters(text) !== text) return text;
  return `${Array.from(text).slice(0, Math.max(0, width - 1)).join("")}…`;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
