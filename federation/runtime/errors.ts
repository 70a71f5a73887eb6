import { inspect } from "node:util";
import type { ErrorCode } from "./error-catalog.ts";

/** Options of an `AtollError`. `details` are facts for logs and API bodies: never keys, tokens or bodies. */
export interface AtollErrorOptions {
  readonly cause?: unknown;
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The one error class of Atoll. Callers branch on `code`, never on the message; every code stands in
 * `error-catalog.ts` and docs/errors.md with what it means and what to do.
 */
export class AtollError extends Error {
  override readonly name = "AtollError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: AtollErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True when `error` is an `AtollError`, and, if codes are given, carries one of them. */
export function isAtollError(error: unknown, ...codes: readonly ErrorCode[]): error is AtollError {
  return error instanceof AtollError && (codes.length === 0 || codes.includes(error.code));
}

/** One line for a log or a terminal: the message of `error` and of its causes, outermost first, each unless the one before has said it. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current !== undefined && current !== null; depth++) {
    const said = current instanceof Error ? current.message : inspect(current);
    if (said !== "" && parts.at(-1)?.includes(said) !== true) parts.push(said);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(": ") || "unknown error";
}
