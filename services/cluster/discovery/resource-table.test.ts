import { describe, expect, it } from "vitest";
import { discoveryPartBytes } from "#federation/wire/limits.ts";
import { NamesAhead } from "./names-ahead.ts";
import { absentVersion, emptyTable, namesToTell, nextPart, nextTable } from "./resource-table.ts";

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

describe("what a stream is told", () => {
  const table = tableOf({ a: "1", b: "2" });
  const versionOf = (name: string): string => table.get(name)?.version ?? "";
  /** To a stream of which no level is known. */
  const told = (sent: ReadonlyMap<string, string>, wanted?: ReadonlySet<string>): { readonly changed: readonly string[]; readonly removed: readonly string[] } => {
    const { changed, removed } = nextPart(new NamesAhead(namesToTell({ sent, wanted }, undefined, table)), { sent, wanted }, table);
    return { changed: changed.map(({ name }) => name), removed };
  };

  it("is nothing when it is level", () => {
    expect(told(new Map([["a", versionOf("a")], ["b", versionOf("b")]]))).toEqual({ changed: [], removed: [] });
  });

  it("is only what is wanted and new, and the names of what is gone", () => {
    expect(told(new Map([["gone", "x"]]), new Set(["a", "gone"]))).toEqual({ changed: ["a"], removed: ["gone"] });
  });

  it("is once that a wanted name does not exist", () => {
    expect(told(new Map(), new Set(["nope"])).removed).toEqual(["nope"]);
    expect(told(new Map([["nope", absentVersion]]), new Set(["nope"])).removed).toEqual([]);
  });

  it("is of each name once, also while what was told grows", () => {
    const sent = new Map([["gone", "x"], ["a", versionOf("a")]]);
    const names = new NamesAhead(namesToTell({ sent, wanted: undefined }, undefined, table));
    const seen: string[] = [];
    for (let name = names.take(); name !== undefined; name = names.take()) {
      seen.push(name);
      sent.set("b", versionOf("b"));
    }
    expect(seen).toEqual(["a", "b", "gone"]);
  });

  it("comes in parts of a bounded size", () => {
    const large = tableOf(Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`r${index}`, "x".repeat(discoveryPartBytes * 0.4)])));
    const names = new NamesAhead(large.keys());
    const parts: (readonly string[])[] = [];
    while (!names.isOver) parts.push(nextPart(names, { sent: new Map(), wanted: undefined }, large).changed.map(({ name }) => name));
    expect(parts).toEqual([["r0", "r1", "r2"], ["r3", "r4"]]);
  });
});
