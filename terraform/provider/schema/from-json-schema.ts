import { snakeCase, type Attribute, type AttributeType } from "./attributes.ts";

/** As much of JSON Schema as the model's published schemas use. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}

/**
 * The attributes of an object's schema, in its order. Alternatives of objects become one object that has the fields of all; which of
 * them belong together, the model's own parser says. Pure. @throws {Error} for a schema that no attribute can stand for, a fault of ours.
 */
export function attributesOf(schema: JsonSchema): readonly Attribute[] {
  const { properties = {}, required = [] } = merged(schema);
  return Object.entries(properties).map(([field, of]) => ({
    name: snakeCase(field),
    field,
    type: typeOf(of, field),
    use: required.includes(field) && of.default === undefined ? "required" : "optional",
    description: describe(of),
    ...(of.default === undefined ? {} : { serverDefault: of.default }),
  }));
}

function typeOf(schema: JsonSchema, field: string): AttributeType {
  const { type, items, additionalProperties, enum: choices, const: only } = merged(schema);
  if (type === "array" && items !== undefined) {
    const item = typeOf(items, field);
    if (item.kind === "object") return { kind: "objectList", attributes: item.attributes };
    if (item.kind === "string" || item.kind === "number" || item.kind === "bool") return { kind: "list", of: item.kind };
  }
  if (type === "object" && typeof additionalProperties === "object") {
    const value = typeOf(additionalProperties, field);
    if (value.kind === "string" || value.kind === "number" || value.kind === "bool") return { kind: "map", of: value.kind };
  }
  if (type === "object") return { kind: "object", attributes: attributesOf(schema) };
  if (type === "integer" || type === "number") return { kind: "number" };
  if (type === "boolean") return { kind: "bool" };
  if (type === "string" || typeof only === "string" || choices?.every((choice) => typeof choice === "string") === true) return { kind: "string" };
  throw new Error(`${field}: no attribute can stand for ${JSON.stringify(schema).slice(0, 200)}`);
}

/** One object for alternatives of objects: fields of all, of which only those are required that all require. */
function merged(schema: JsonSchema): JsonSchema {
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (alternatives === undefined) return schema;
  const properties: Record<string, JsonSchema> = {};
  for (const [name, of] of alternatives.flatMap((alternative) => Object.entries(alternative.properties ?? {}))) {
    properties[name] = properties[name] === undefined ? of : eitherOf(properties[name], of);
  }
  const required = Object.keys(properties).filter((name) => alternatives.every((alternative) => alternative.required?.includes(name)));
  return { ...schema, type: "object", properties, required };
}

/** Two constants of text are a choice; other fields of one name mean the same in every alternative. */
function eitherOf(one: JsonSchema, other: JsonSchema): JsonSchema {
  const choices = [one, other].flatMap(({ const: only, enum: some }) => (only === undefined ? (some ?? []) : [only]));
  return choices.length === 0 ? one : { type: "string", enum: choices };
}

function describe(schema: JsonSchema): string {
  const { enum: choices } = merged(schema);
  const words = [schema.description ?? "", choices === undefined ? "" : `One of ${choices.map((choice) => `\`${String(choice)}\``).join(", ")}.`];
  return words.filter((text) => text !== "").join(" ");
}
