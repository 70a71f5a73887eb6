import { isDeepStrictEqual } from "node:util";
import { changedFieldsMax } from "./audit.ts";

/**
 * Paths at which two JSON values differ, such as `spec.gateways[1].port`, in order and at most `changedFieldsMax`; a value that only
 * one side has is named by its own path, without what lies in it. Never a value. Pure, O(size).
 */
export function changedFields(before: unknown, after: unknown): readonly string[] {
  const paths: string[] = [];
  collect(before, after, "", paths);
  if (paths.length <= changedFieldsMax) return paths;
  return [...paths.slice(0, changedFieldsMax - 1), `and ${paths.length - changedFieldsMax + 1} more`];
}

function collect(before: unknown, after: unknown, path: string, paths: string[]): void {
  if (isDeepStrictEqual(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let at = 0; at < Math.max(before.length, after.length); at++) collect(before[at], after[at], `${path}[${at}]`, paths);
  } else if (isObject(before) && isObject(after)) {
    for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) collect(before[key], after[key], path === "" ? key : `${path}.${key}`, paths);
  } else {
    paths.push(path);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
