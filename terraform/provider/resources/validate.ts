import { faultsOf } from "#federation/model/parse/fault.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import { isObject, unknown, type CtyObject, type CtyValue } from "../cty/values.ts";
import { errorAt, pathOfField } from "../diagnostics.ts";
import type { AttributePath, Diagnostic } from "../protocol/messages.ts";
import { toResource } from "./conversion.ts";
import type { KindRow } from "./kinds.ts";

/**
 * What the model's own parser says of a configuration, each fault at its attribute. Where something is not known yet, nothing is said of
 * it, nor of what holds it or lies in it: an apply will.
 */
export function validateResource(row: KindRow, config: CtyObject): readonly Diagnostic[] {
  const input = toResource(row, config);
  const result = resourceSchemas[row.kind].safeParse(input);
  if (result.success) return [];
  const open = unknownPaths(config, []);
  return faultsOf(result.error, input).flatMap(({ segments, found, expected }) => {
    const path = pathOfField(segments);
    const names = namesOf(path);
    if (open.some((other) => isPrefix(other, names) || isPrefix(names, other))) return [];
    return [errorAt(path, `The ${row.kind} cannot be used.`, `found ${found}, expected ${expected}`)];
  });
}

type Names = readonly (string | number)[];

function unknownPaths(value: CtyValue, at: Names): readonly Names[] {
  if (value === unknown) return [at];
  if (Array.isArray(value)) return value.flatMap((item, index) => unknownPaths(item, [...at, index]));
  return isObject(value) ? Object.entries(value).flatMap(([name, item]) => unknownPaths(item, [...at, name])) : [];
}

function namesOf(path: AttributePath | undefined): Names {
  return (path?.steps ?? []).map((step) => ("attribute_name" in step ? step.attribute_name : "element_key_int" in step ? step.element_key_int : step.element_key_string));
}

function isPrefix(short: Names, long: Names): boolean {
  return short.length <= long.length && short.every((name, at) => name === long[at]);
}
