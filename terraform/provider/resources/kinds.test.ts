import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clusterKinds, globalKinds } from "#federation/admin-api/plane-routes.ts";
import { resourceArbitrary } from "#federation/model/parse/resource-arbitrary-fixture.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";

import { readDynamic, requiredText, writeDynamic, type CtyObject } from "../cty/values.ts";
import type { Attribute } from "../schema/attributes.ts";
import type { JsonSchema } from "../schema/from-json-schema.ts";
import { emptyState, idOf, keysOf, toResource, toState } from "./conversion.ts";
import { kindRows, resourceSchema, type KindRow } from "./kinds.ts";
import { validateResource } from "./validate.ts";

/** Paths of every field that a schema has, as the model writes them. */
function fieldsOf(schema: JsonSchema, at: string): readonly string[] {
  const parts = schema.oneOf ?? schema.anyOf;
  if (parts !== undefined) return [...new Set(parts.flatMap((part) => fieldsOf(part, at)))];
  if (schema.items !== undefined) return fieldsOf(schema.items, at);
  if (schema.properties === undefined) return [at];
  return Object.entries(schema.properties).flatMap(([name, of]) => fieldsOf(of, at === "" ? name : `${at}.${name}`));
}

function attributeFields(attributes: readonly Attribute[], at: string): readonly string[] {
  return attributes.flatMap(({ field, type }) => {
    const path = at === "" ? field : `${at}.${field}`;
    return "attributes" in type ? attributeFields(type.attributes, path) : [path];
  });
}

describe("the kinds of the model as resources", () => {
  it("are all those that users write, but trust domains, which speak for themselves", () => {
    expect(kindRows.map(({ kind }) => kind).toSorted()).toEqual([...globalKinds, ...clusterKinds].filter((kind) => kind !== "TrustDomain").toSorted());
  });

  it.each(kindRows)("have every field of the model's published schema: $kind", (row) => {
    const published = JSON.parse(readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "schemas", `${row.kind}.json`), "utf8")) as { readonly properties: { readonly spec: JsonSchema } };
    expect(attributeFields(resourceSchema(row).attributes, "")).toEqual(expect.arrayContaining([...fieldsOf(published.properties.spec, "")]));
  });

  it.each(kindRows)("have names that Terraform takes, each once: $kind", (row) => {
    const names = resourceSchema(row).attributes.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
    expect(names).not.toEqual(expect.arrayContaining(["count"]));
    for (const reserved of ["for_each", "depends_on", "lifecycle", "provider", "connection", "provisioner"]) expect(names).not.toContain(reserved);
  });

  it.each(kindRows)("lose nothing on the way into a state and back: $kind", (row) => {
    fc.assert(
      fc.property(resourceArbitrary(row.kind), (input) => {
        const resource = resourceSchemas[row.kind].parse(input);
        const state = readDynamic(writeDynamic(toState(row, resource, { cluster: "c", written: undefined }))) as CtyObject;
        const { status: _, metadata, ...rest } = resource;
        const { name, namespace, labels } = metadata;
        const written = { ...rest, metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) } };
        expect(resourceSchemas[row.kind].parse(toResource(row, state))).toEqual(resourceSchemas[row.kind].parse(JSON.parse(JSON.stringify(written))));
        expect(validateResource(row, state)).toEqual([]);
        expect(idOf(row, keysOf(row, requiredText(state, "id")) ?? {})).toBe(state["id"]);
      }),
    );
  });

  it("begin an import with every attribute, and refuse an id of another form", () => {
    const service = kindRows.find(({ kind }) => kind === "Service") as KindRow;
    const keys = keysOf(service, "shop-eu/web/catalog") ?? {};
    expect(emptyState(service, keys)).toMatchObject({ cluster: "shop-eu", namespace: "web", name: "catalog", id: "shop-eu/web/catalog", ports: null });
    for (const wrong of ["catalog", "web/catalog", "a/b/c/d", "a//c", ""]) expect(keysOf(service, wrong)).toBeUndefined();
  });

  it("read as nothing what the server puts where nothing was written", () => {
    const cluster = kindRows.find(({ kind }) => kind === "Cluster") as KindRow;
    const resource = resourceSchemas.Cluster.parse({ apiVersion: "atoll.dev/v1alpha1", kind: "Cluster", metadata: { name: "c" }, spec: { region: "r", trustDomain: "shop.example", exportNamespaces: [] } });
    expect(resource.spec.gateways).toEqual([]);
    expect(toState(cluster, resource, { cluster: undefined, written: undefined })["gateways"]).toBeNull();
    expect(toState(cluster, resource, { cluster: undefined, written: { gateways: [] } })["gateways"]).toEqual([]);
  });
});
