import { z } from "zod";
import { kinds, type Kind } from "../resource.ts";
import { federationSchema } from "./federation-schema.ts";
import { resourceSchemas } from "./resource-schemas.ts";

/** The JSON Schema (2020-12) of what a user writes for `kind`; `Federation` is the file of a whole one. */
export function jsonSchema(kind: Kind | "Federation"): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(kind === "Federation" ? federationSchema : resourceSchemas[kind], { target: "draft-2020-12", io: "input" });
  return { $schema, title: kind, ...schema };
}

/** The published schema files by name, each with its exact text. */
export function schemaFiles(): ReadonlyMap<string, string> {
  return new Map([...kinds, "Federation" as const].map((kind) => [`${kind}.json`, `${JSON.stringify(jsonSchema(kind), null, 2)}\n`]));
}
