import { describe, expect, it } from "vitest";
import { absentVersion, emptyTable, nextTable, tableDelta } from "./resource-table.ts";

const encode = (value: string): Uint8Array => Buffer.from(value);
const tableOf = (values: Record<string, string>, previous = emptyTable) => nextTable({ typeUrl: "type.example/T", encode }, previous, new Map(Object.entries(values)));

describe("nextTable", () => {
  it("keeps the table itself when nothing changed, and each unchanged resource when something did", () => {
    const first = tableOf({ a: "1", b: "2" });
    expect(tableOf({ a: "1", b: "2" }, first)).toBe(first);
    const second = tableOf({ a: "1", b: "3" }, first);
    expect(second).not.toBe(first);
    expect(second.get("a")).toBe(first.get("a"));
    expect(second.get("b")?.version).not.toBe(first.get("b")?.version);
  });

  it("sees a removal alone as a change", () => {
    const first = tableOf({ a: "1", b: "2" });
    expect([...tableOf({ a: "1" }, first).keys()]).toEqual(["a"]);
  });
});

describe("tableDelta", () => {
  const table = tableOf({ a: "1", b: "2" });
  const versionOf = (name: string): string => table.get(name)?.version ?? "";

  it("sends nothing to a stream that is level", () => {
    const sent = new Map([["a", versionOf("a")], ["b", versionOf("b")]]);
    expect(tableDelta(table, sent, undefined)).toEqual({ changed: [], removed: [] });
  });

  it("sends only what is wanted and new, and names what is gone", () => {
    const delta = tableDelta(table, new Map([["gone", "x"]]), new Set(["a", "gone"]));
    expect(delta.changed.map((resource) => resource.name)).toEqual(["a"]);
    expect(delta.removed).toEqual(["gone"]);
  });

  it("says once that a wanted name does not exist", () => {
    expect(tableDelta(table, new Map(), new Set(["nope"])).removed).toEqual(["nope"]);
    expect(tableDelta(table, new Map([["nope", absentVersion]]), new Set(["nope"])).removed).toEqual([]);
  });
});
