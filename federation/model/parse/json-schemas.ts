import { z } from "zod";
import { kinds, type Kind } from "../resource.ts";
import { resourceSchemas } from "./resource-schemas.ts";

/** The JSON Schema (2020-12) of what a user writes for `kind`. */
export function jsonSchema(kind: Kind): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(resourceSchemas[kind], { target: "draft-2020-12", io: "input" });
  return { $schema, title: kind, ...schema };
}

/** The published schema files by name, each with its exact text. */
export function schemaFiles(): ReadonlyMap<string, string> {
  return new Map(kinds.map((kind) => [`${kind}.json`, `${JSON.stringify(jsonSchema(kind), null, 2)}\n`]));
}
