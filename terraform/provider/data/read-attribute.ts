import type { Attribute, AttributeType } from "../schema/attributes.ts";

export const text: AttributeType = { kind: "string" };
export const number: AttributeType = { kind: "number" };
export const bool: AttributeType = { kind: "bool" };

/** An attribute that a data source answers with. */
export function read(name: string, type: AttributeType, description: string): Attribute {
  return { name, field: name, type, use: "computed", description };
}
