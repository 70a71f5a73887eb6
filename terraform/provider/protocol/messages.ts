// The messages of descriptor.ts as this program holds them.

/** One of the two is there; Terraform writes msgpack, and JSON only into states. */
export interface DynamicValue {
  readonly msgpack?: Uint8Array;
  readonly json?: Uint8Array;
}

export type AttributePathStep = { readonly attribute_name: string } | { readonly element_key_string: string } | { readonly element_key_int: number };

export interface AttributePath {
  readonly steps: readonly AttributePathStep[];
}

export const severities = { error: 1, warning: 2 } as const;

export interface Diagnostic {
  readonly severity: (typeof severities)[keyof typeof severities];
  readonly summary: string;
  readonly detail: string;
  readonly attribute?: AttributePath;
}

export interface ProtoSchema {
  readonly version: number;
  readonly block: { readonly version: number; readonly attributes: readonly ProtoAttribute[]; readonly description: string; readonly description_kind: number };
}

export interface ProtoAttribute {
  readonly name: string;
  /** JSON of the cty type; absent where `nested_type` is there. */
  readonly type?: Uint8Array;
  readonly nested_type?: { readonly attributes: readonly ProtoAttribute[]; readonly nesting: number };
  readonly description: string;
  readonly required: boolean;
  readonly optional: boolean;
  readonly computed: boolean;
  readonly sensitive: boolean;
  readonly description_kind: number;
}
