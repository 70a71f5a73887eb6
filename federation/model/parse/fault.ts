import { describeError } from "#federation/runtime/errors.ts";
import type { z } from "zod";

/** One thing that is wrong with an input: where, what was found there, and what was expected. */
export interface Fault {
  /** e.g. `spec.gateways[0].port`; empty for the whole. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  /** The same place as a program walks to it. */
  readonly segments: readonly (string | number)[];
  /** The last segment is a key that should not be there, so the fault lies on the key, not on its value. */
  readonly onKey: boolean;
}

/** Most faults that are reported of one input; more help nobody. */
export const faultsMax = 100;

/** The faults behind a zod error, told in terms of `input`. */
export function faultsOf(error: z.ZodError, input: unknown): readonly Fault[] {
  return error.issues.flatMap((issue) => faultsOfIssue(issue, input, [])).slice(0, faultsMax);
}

/** A place in a document as people write it. */
export function formatPath(segments: readonly (string | number)[]): string {
  let path = "";
  for (const segment of segments) {
    if (typeof segment === "number") path += `[${segment}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(segment)) path += path === "" ? segment : `.${segment}`;
    else path += `[${JSON.stringify(segment)}]`;
  }
  return path;
}

/** A value in a few words, for `found`. Long text is cut; it may be anything, so it is always quoted. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : typeof value;
}

/** One line: `path: found …, expected …`. */
export function formatFault(fault: Pick<Fault, "path" | "found" | "expected">): string {
  return `${fault.path === "" ? "" : `${fault.path}: `}found ${fault.found}, expected ${fault.expected}`;
}

/** A fault of the whole input: in words, or as an exception told of it. */
export function wholeFault(found: unknown, expected: string): Fault {
  return { path: "", segments: [], found: typeof found === "string" ? found : describeError(found), expected, onKey: false };
}

function faultsOfIssue(issue: z.core.$ZodIssue, input: unknown, base: readonly (string | number)[]): readonly Fault[] {
  const segments = [...base, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  const value = valueAt(input, segments);
  const fault = (expected: string): readonly Fault[] => [{ path: formatPath(segments), segments, found: describeValue(value), expected, onKey: false }];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey([...segments, key]));
    case "invalid_union":
      return issue.errors.length === 0
        ? fault("options" in issue && Array.isArray(issue.options) ? `one of ${issue.options.map(String).join(", ")}` : issue.message)
        : nearestBranch(issue.errors).flatMap((inner) => faultsOfIssue(inner, input, segments));
    case "invalid_key":
      return issue.issues.map((inner) => ({ path: formatPath(segments), segments, found: "such a key", expected: inner.message, onKey: true }));
    case "invalid_type":
      return fault(isDefaultMessage(issue.message) ? (typeWords[issue.expected] ?? issue.expected) : issue.message);
    case "invalid_value":
      return fault(issue.values.length === 1 ? JSON.stringify(issue.values[0]) : `one of ${issue.values.map(String).join(", ")}`);
    case "too_big":
      return fault(isDefaultMessage(issue.message) ? `at most ${issue.maximum}${unitOf(issue.origin)}` : issue.message);
    case "too_small":
      return fault(isDefaultMessage(issue.message) ? `at least ${issue.minimum}${unitOf(issue.origin)}` : issue.message);
    case "invalid_format":
    case "not_multiple_of":
    case "invalid_element":
    case "custom":
      break;
  }
  return fault(issue.message);
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "a map",
  record: "a map",
  array: "a list",
};

function unknownKey(segments: readonly (string | number)[]): Fault {
  return { path: formatPath(segments), segments, found: "an unknown field", expected: "only fields of this kind", onKey: true };
}

/** Of several alternatives the one that fits best: the fewest unknown keys, then the fewest faults. */
function nearestBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] {
  const score = (branch: readonly z.core.$ZodIssue[]): number =>
    branch.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? 100 * issue.keys.length : 1), 0);
  return branches.reduce((best, branch) => (score(branch) < score(best) ? branch : best));
}

/** zod's own messages begin so; ours say what is expected and nothing else. */
function isDefaultMessage(message: string): boolean {
  return message.startsWith("Invalid input") || message.startsWith("Too ");
}

function unitOf(origin: string): string {
  if (origin === "string") return " characters";
  return origin === "array" || origin === "record" ? " entries" : "";
}

function valueAt(input: unknown, segments: readonly (string | number)[]): unknown {
  let value = input;
  for (const segment of segments) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[segment];
  }
  return value;
}
