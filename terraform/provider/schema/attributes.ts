/** The type of one attribute: a primitive, a list or map of one, or objects with attributes of their own. */
export type AttributeType =
  | { readonly kind: "string" | "number" | "bool" }
  | { readonly kind: "list" | "map"; readonly of: "string" | "number" | "bool" }
  | { readonly kind: "object" | "objectList"; readonly attributes: readonly Attribute[] };

/** One attribute as Terraform users write it, with the field of the model that it stands for. */
export interface Attribute {
  /** snake_case. */
  readonly name: string;
  /** camelCase, of the model's JSON. */
  readonly field: string;
  readonly type: AttributeType;
  /** `required` and `optional` are the user's; `computed` is the server's. */
  readonly use: "required" | "optional" | "computed" | "optionalComputed";
  readonly description: string;
  readonly isSensitive?: true;
  /** What the server puts where the user says nothing, as JSON: read back as nothing. */
  readonly serverDefault?: unknown;
}

/** `trustDomain` → `trust_domain`, `authoritySha256` → `authority_sha256`. */
export function snakeCase(field: string): string {
  return field.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}
