import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { kinds } from "../resource.ts";
import { schemaFiles } from "./json-schemas.ts";

const directory = join(import.meta.dirname, "../../../docs/schemas");

it("the published schemas are those of the code: run `node federation/model/parse/write-schemas.ts` after a change", () => {
  const files = schemaFiles();
  expect(files.size).toBe(kinds.length + 1);
  expect(readdirSync(directory).sort()).toEqual([...files.keys()].sort());
  for (const [name, text] of files) expect(readFileSync(join(directory, name), "utf8"), name).toBe(text);
});

it("every schema refuses unknown fields at its top, in metadata and in spec", () => {
  for (const text of schemaFiles().values()) {
    const schema = JSON.parse(text) as { readonly additionalProperties: unknown; readonly properties: Readonly<Record<string, { readonly additionalProperties?: unknown }>> };
    expect(schema.additionalProperties).toBe(false);
    for (const part of ["metadata", "spec"]) expect(schema.properties[part]?.additionalProperties).toBe(false);
  }
});
