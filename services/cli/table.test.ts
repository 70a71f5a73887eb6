import { describe, expect, it } from "vitest";
import { displayWidth, renderTable, type Column } from "./table.ts";

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { title: "NAME", value: (row) => row.name },
  { title: "COUNT", value: (row) => String(row.count), align: "right" },
];

describe("renderTable", () => {
  it("makes columns as wide as their widest cell and aligns numbers to the right", () => {
    expect(renderTable(columns, [{ name: "eu-west", count: 7 }, { name: "us", count: 1234 }])).toEqual(["NAME      COUNT", "eu-west       7", "us         1234"]);
  });

  it("leaves no trailing spaces", () => {
    const lines = renderTable([...columns].reverse(), [{ name: "a", count: 1 }, { name: "long name", count: 2 }]);
    expect(lines.every((line) => line === line.trimEnd())).toBe(true);
  });

  it("cuts the widest column when the whole is too wide", () => {
    const lines = renderTable(columns, [{ name: "x".repeat(100), count: 1 }], 40);
    expect(Math.max(...lines.map(displayWidth))).toBe(40);
    expect(lines[1]).toContain("…");
    expect(lines[1]?.endsWith("1")).toBe(true);
  });

  it("counts colours as no width and never cuts a coloured cell", () => {
    const red = "\u001b[31mdown\u001b[39m";
    const lines = renderTable(columns, [{ name: red, count: 1 }, { name: "healthy", count: 2 }]);
    expect(displayWidth(lines[1] ?? "")).toBe(displayWidth(lines[2] ?? ""));
  });

  it("keeps a cell with line breaks on one line", () => {
    expect(renderTable(columns, [{ name: "a\n  b", count: 1 }])).toHaveLength(2);
  });

  it("shows only the titles when there are no rows", () => {
    expect(renderTable(columns, [])).toEqual(["NAME   COUNT"]);
  });
});
