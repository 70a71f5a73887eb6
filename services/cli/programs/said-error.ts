import { errorCatalog, type ErrorCode } from "#federation/runtime/error-catalog.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** What a program of Atoll's has ended with, as it said on standard error, by its code. Pure. */
export function saidError(stderr: string): AtollError {
  const [, code = "ATOLL_PROCESS_FAILED", message = stderr.trim().slice(-500)] = /^(ATOLL_[A-Z_]+): (.*)$/m.exec(stderr) ?? [];
  return new AtollError(code in errorCatalog ? (code as ErrorCode) : "ATOLL_PROCESS_FAILED", message === "" ? "the plane's program ended without a word" : message);
}
