import { isDeepStrictEqual } from "node:util";
import { isObject, unknown, type CtyObject, type CtyValue } from "./cty/values.ts";
import { attribute } from "./diagnostics.ts";
import type { ManagedResource } from "./managed.ts";
import type { AttributePath } from "./protocol/messages.ts";

/** What Terraform would make of a resource. */
export interface PlannedChange {
  /** Null: it is destroyed. */
  readonly planned: CtyValue;
  readonly requiresReplace: readonly AttributePath[];
}

/**
 * The state that an apply will lead to: what the configuration says, and of what the server fills only that which will not change. Pure.
 * `proposed` is Terraform's own merge of both.
 */
export function planChange(resource: ManagedResource, prior: CtyValue, proposed: CtyValue): PlannedChange {
  if (!isObject(proposed)) return { planned: null, requiresReplace: [] };
  const computed = resource.schema.attributes.filter(({ use }) => use === "computed").map(({ name }) => name);
  const written = resource.schema.attributes.filter(({ use }) => use !== "computed").map(({ name }) => name);
  if (!isObject(prior)) return { planned: { ...proposed, ...unknowns(computed) }, requiresReplace: [] };
  const changed = written.filter((name) => !isDeepStrictEqual(prior[name] ?? null, proposed[name] ?? null));
  if (changed.length === 0) return { planned: prior, requiresReplace: [] };
  const replaced = changed.filter((name) => resource.replace.includes(name));
  return {
    planned: { ...proposed, ...unknowns(replaced.length > 0 ? computed : resource.changing) },
    requiresReplace: replaced.map((name) => attribute(name)),
  };
}

function unknowns(names: readonly string[]): CtyObject {
  return Object.fromEntries(names.map((name) => [name, unknown]));
}
