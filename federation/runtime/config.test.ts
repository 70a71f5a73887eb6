import { describe, expect, it } from "vitest";
import { addressField, choiceField, defaultField, integerField, listField, objectField, optionalField, parsedField, portField, readConfig, stringField, variantField } from "./config.ts";
import { AtollError } from "./errors.ts";

const field = objectField({
  name: stringField({ pattern: /^[a-z]+$/, expected: "lower-case letters" }),
  level: defaultField(choiceField(["debug", "info"]), "info"),
  address: addressField,
  ports: objectField({ admin: portField }),
  zone: optionalField(stringField()),
  tags: defaultField(listField(stringField(), { max: 2 }), []),
  store: variantField("kind", { sqlite: {}, etcd: { endpoints: listField(stringField(), { min: 1 }) } }),
});

function faultsOf(value: unknown): string {
  try {
    readConfig(JSON.stringify(value), "x.json", field);
  } catch (error) {
    if (error instanceof AtollError && error.code === "ATOLL_CONFIG_INVALID") return error.message;
    throw error;
  }
  return "";
}

describe("readConfig", () => {
  it("reads a good file, fills defaults and freezes the result", () => {
    const config = readConfig(JSON.stringify({ name: "a", address: "127.0.0.1", ports: { admin: 0 }, store: { kind: "etcd", endpoints: ["u"] } }), "x.json", field);
    expect(config).toEqual({ name: "a", level: "info", address: "127.0.0.1", ports: { admin: 0 }, tags: [], store: { kind: "etcd", endpoints: ["u"] } });
    expect("zone" in config).toBe(false);
    expect(Object.isFrozen(config) && Object.isFrozen(config.ports) && Object.isFrozen(config.store)).toBe(true);
  });

  it("reports all faults together, with their paths", () => {
    const message = faultsOf({ name: "A1", level: "loud", address: "localhost", ports: { admin: 70_000, extra: 1 }, tags: ["a", "b", "c"], store: { kind: "etcd" } });
    for (const path of ["name:", "level:", "address:", "ports.admin:", "ports.extra:", "tags:", "store.endpoints:"]) expect(message).toContain(path);
    expect(message).toContain("7 faults");
  });

  it("names a missing field, an unknown variant and a wrong item", () => {
    expect(faultsOf({})).toContain("ports: required, but missing");
    expect(faultsOf({ name: "a", address: "::1", ports: { admin: 1 }, store: { kind: "mongo" } })).toContain("store.kind: expected one of sqlite, etcd");
    expect(faultsOf({ name: "a", address: "::1", ports: { admin: 1 }, store: { kind: "sqlite" }, tags: ["a", 2] })).toContain("tags[1]: expected a string");
    expect(faultsOf({ name: "a", address: "::1", ports: { admin: 1 }, store: { kind: "sqlite", path: "x" } })).toContain("store.path: unknown field");
  });

  it("refuses inherited names as variants and keys", () => {
    expect(faultsOf({ name: "a", address: "::1", ports: { admin: 1 }, store: { kind: "constructor" } })).toContain("store.kind");
    expect(faultsOf({ name: "a", address: "::1", ports: { admin: 1 }, store: { kind: "sqlite" }, toString: 1 })).toContain("toString: unknown field");
  });

  it("turns a parser's error into a fault", () => {
    const even = parsedField(integerField({ min: 0, max: 9 }), (value) => {
      if (value % 2 === 1) throw new AtollError("ATOLL_CONFIG_INVALID", "must be even");
      return value;
    });
    expect(readConfig("4", "n", even)).toBe(4);
    expect(() => readConfig("5", "n", even)).toThrow("must be even");
    expect(() => readConfig("{", "n", even)).toThrow("not JSON");
  });
});
