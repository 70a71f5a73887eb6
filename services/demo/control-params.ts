import { AtollError } from "#federation/runtime/errors.ts";

/** A field of a control request's parameters; undefined when there is none. */
export function paramOf(params: unknown, key: string): unknown {
  return (params as Readonly<Record<string, unknown>> | null | undefined)?.[key];
}

/** @throws {ATOLL_CONTROL_REFUSED} when it is no number of [min, max]. */
export function numberParam(params: unknown, key: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const value = paramOf(params, key);
  if (typeof value !== "number" || !(value >= min && value <= max)) throw new AtollError("ATOLL_CONTROL_REFUSED", `${key}: expected a number from ${min} to ${max}`);
  return value;
}
