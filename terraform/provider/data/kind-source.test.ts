import { describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { apiVersion, type Resource } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { readDynamic, writeDynamic, type CtyObject } from "../cty/values.ts";
import type { ProviderPlanes } from "../planes.ts";
import { dataSourceSchema, kindRows } from "../resources/kinds.ts";
import { kindSource } from "./kind-source.ts";

const { signal } = new AbortController();
const region: Resource = { apiVersion, kind: "Region", metadata: { name: "eu", generation: 3 }, spec: { displayName: "Europe" } };

/** Planes that all know `resource`, or fail as `resource` says. */
function planesOf(resource: Resource | AtollError): ProviderPlanes {
  const get = async (): Promise<Resource> => {
    if (resource instanceof AtollError) throw resource;
    return resource;
  };
  const of = (): AdminClient => ({ get }) as unknown as AdminClient;
  return { environment: {}, clusters: [], timeoutMs: 30_000, of, signerOf: of };
}

const missing = planesOf(new AtollError("ATOLL_NOT_FOUND", "there is no such resource"));

describe.each(kindRows)("the data source of the kind $kind", (row) => {
  const keys = Object.fromEntries(row.keys.map(({ name }) => [name, "x"]));
  const everything = dataSourceSchema(row).attributes.map(({ name }) => name).toSorted();

  it("fails where there is none, unless there may be none: then everything that is read is null", async () => {
    await expect(kindSource(row).read({ ...keys, may_be_missing: null }, missing, signal)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    await expect(kindSource(row).read({ ...keys, may_be_missing: false }, missing, signal)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    const read = readDynamic(writeDynamic(await kindSource(row).read({ ...keys, may_be_missing: true }, missing, signal))) as CtyObject;
    expect(Object.keys(read).toSorted()).toEqual(everything);
    expect(Object.entries(read).filter(([, value]) => value !== null).map(([name]) => name).toSorted()).toEqual([...Object.keys(keys), "may_be_missing"].toSorted());
  });

  it("takes no other failure for an absence", async () => {
    const silent = planesOf(new AtollError("ATOLL_ADMIN_UNAVAILABLE", "nobody answers"));
    await expect(kindSource(row).read({ ...keys, may_be_missing: true }, silent, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  });
});

it("a data source that may be missing is read as usual where it is there", async () => {
  const [row] = kindRows.filter(({ kind }) => kind === "Region");
  if (row === undefined) throw new Error("no Region");
  const read = await kindSource(row).read({ name: "eu", may_be_missing: true }, planesOf(region), signal);
  expect(Object.keys(read).toSorted()).toEqual(dataSourceSchema(row).attributes.map(({ name }) => name).toSorted());
  expect(read).toMatchObject({ name: "eu", id: "eu", generation: 3, display_name: "Europe", may_be_missing: true });
});
