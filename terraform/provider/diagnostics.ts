import { AdminApiError } from "#federation/admin-api/problem.ts";
import { errorCatalog } from "#federation/runtime/error-catalog.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { severities, type AttributePath, type AttributePathStep, type Diagnostic } from "./protocol/messages.ts";
import { snakeCase } from "./schema/attributes.ts";

/**
 * An error of one attribute, or of the whole block without a path. Terraform finds only attributes at the top in a file, so that is where
 * one of an attribute inside another is shown, and its own place said in words.
 */
export function errorAt(path: AttributePath | undefined, summary: string, detail: string): Diagnostic {
  const [top, ...inner] = path?.steps ?? [];
  if (top === undefined) return { severity: severities.error, summary, detail };
  return { severity: severities.error, summary, detail: inner.length === 0 ? detail : `${formatSteps(inner)}: ${detail}`, attribute: { steps: [top] } };
}

function formatSteps(steps: readonly AttributePathStep[]): string {
  const text = steps.map((step) => ("attribute_name" in step ? `.${step.attribute_name}` : "element_key_int" in step ? `[${step.element_key_int}]` : `[${JSON.stringify(step.element_key_string)}]`)).join("");
  return text.startsWith(".") ? text.slice(1) : text;
}

/** The path of an attribute at the top. */
export function attribute(...names: readonly string[]): AttributePath {
  return { steps: names.map((name) => ({ attribute_name: name })) };
}

/**
 * A place in the model's JSON as a place in a configuration: `spec` and `metadata` are no blocks of their own there. Undefined for the
 * whole. Pure.
 */
export function pathOfField(segments: readonly (string | number)[]): AttributePath | undefined {
  const rest = segments[0] === "spec" || segments[0] === "metadata" ? segments.slice(1) : segments;
  const isLabel = rest[0] === "labels";
  const steps = rest.map((segment, at): AttributePathStep => {
    if (typeof segment === "number") return { element_key_int: segment };
    return isLabel && at > 0 ? { element_key_string: segment } : { attribute_name: snakeCase(segment) };
  });
  return steps.length === 0 ? undefined : { steps };
}

/** `spec.gateways[1].port` as the segments that were written so. Pure. */
export function segmentsOf(path: string): readonly (string | number)[] {
  return [...path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(([, index, quoted, name]) => (index === undefined ? (quoted ?? name ?? "") : Number(index)));
}

/** What went wrong, one diagnostic for each fault, each at its attribute where the answer names one. */
export function diagnosticsOf(error: unknown): readonly Diagnostic[] {
  if (error instanceof AdminApiError && error.problem.faults !== undefined && error.problem.faults.length > 0) {
    return error.problem.faults.map(({ path, found, expected }) => errorAt(pathOfField(segmentsOf(path)), error.problem.title, `found ${found}, expected ${expected}`));
  }
  if (!isAtollError(error)) return [errorAt(undefined, "The provider failed in a way that it did not foresee.", describeError(error))];
  const { meaning, action } = errorCatalog[error.code];
  const [, field, words] = /^(spec(?:\.[A-Za-z][\w[\]]*)+): (.*)$/s.exec(error.message) ?? [];
  const named = error.details["attribute"];
  const path = field !== undefined ? pathOfField(segmentsOf(field)) : typeof named === "string" ? attribute(named) : undefined;
  return [errorAt(path, meaning, `${words ?? error.message}\n\n${action} (${error.code})`)];
}
