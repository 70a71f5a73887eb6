import type { ProtoAttribute, ProtoSchema } from "../protocol/messages.ts";
import type { Attribute, AttributeType } from "./attributes.ts";

/** Of a resource, a data source or the provider itself. */
export interface Schema {
  readonly description: string;
  readonly attributes: readonly Attribute[];
}

const markdown = 1;
/** Of an attribute that is an object, and of one that is a list of them. */
const nesting = { object: 1, objectList: 2 } as const;

/** A schema in the protocol's form. */
export function toProto({ description, attributes }: Schema): ProtoSchema {
  return { version: 0, block: { version: 0, attributes: attributes.map(attributeToProto), description, description_kind: markdown } };
}

function attributeToProto({ name, type, use, description, isSensitive }: Attribute): ProtoAttribute {
  return {
    name,
    ...("attributes" in type
      ? { nested_type: { attributes: type.attributes.map(attributeToProto), nesting: nesting[type.kind] } }
      : { type: Buffer.from(JSON.stringify(ctyType(type))) }),
    description,
    description_kind: markdown,
    required: use === "required",
    optional: use === "optional" || use === "optionalComputed",
    computed: use === "computed" || use === "optionalComputed",
    sensitive: isSensitive === true,
  };
}

/** @see https://github.com/zclconf/go-cty/blob/main/docs/json.md */
function ctyType(type: Exclude<AttributeType, { readonly attributes: unknown }>): unknown {
  return type.kind === "list" || type.kind === "map" ? [type.kind, type.of] : type.kind;
}
