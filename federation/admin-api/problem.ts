import { z } from "zod";
import { errorCatalog, type ErrorCode } from "#federation/runtime/error-catalog.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { formatFault, type Fault } from "#federation/model/parse/fault.ts";

/** The body of every answer that is not a success. @see https://www.rfc-editor.org/rfc/rfc9457 */
export const problemSchema = z.object({
  type: z.string().max(256).describe("urn:atoll:error:<code>"),
  title: z.string().max(1_024).describe("What the code means."),
  status: z.int().min(400).max(599),
  detail: z.string().max(16_384).describe("What happened this time."),
  code: z.string().max(128).describe("Stable; programs branch on it."),
  action: z.string().max(1_024).describe("What the reader can do about it."),
  faults: z
    .array(z.object({ path: z.string(), found: z.string(), expected: z.string() }))
    .max(1_000)
    .optional()
    .describe("Every fault of a request or resource that could not be understood."),
});

export type Problem = z.infer<typeof problemSchema>;

/** Content type of a `Problem`. */
export const problemContentType = "application/problem+json";

/** An AtollError with faults, on the server's side of the API, or with the server's whole problem on the client's. */
export class AdminApiError extends AtollError {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(Object.hasOwn(errorCatalog, problem.code) ? (problem.code as ErrorCode) : "ATOLL_INTERNAL", problem.detail);
    this.problem = problem;
  }
}

/** The error of a request that does not have its route's form. */
export function invalidRequest(code: "ATOLL_REQUEST_INVALID" | "ATOLL_RESOURCE_INVALID", faults: readonly Fault[]): AdminApiError {
  const problem = createProblem(code, 400, faults.slice(0, 3).map(formatFault).join("; ") + (faults.length > 3 ? `; and ${faults.length - 3} more` : ""));
  return new AdminApiError({ ...problem, faults: faults.map(({ path, found, expected }) => ({ path, found, expected })) });
}

/** The problem of `error`; whatever is not an AtollError is told without its message, which may hold anything. */
export function problemOf(error: unknown, hadPrecondition: boolean): Problem {
  if (error instanceof AdminApiError) return error.problem;
  if (isAtollError(error, "ATOLL_STORE_CONFLICT")) return createProblem(error.code, hadPrecondition ? 412 : 409, error.message);
  if (isAtollError(error)) return createProblem(error.code, statuses[error.code] ?? 500, error.message);
  return createProblem("ATOLL_INTERNAL", 500, "the server failed; its log tells more");
}

/** A problem with the catalog's words for `code`. */
export function createProblem(code: ErrorCode, status: number, detail: string): Problem {
  const { meaning, action } = errorCatalog[code];
  return { type: `urn:atoll:error:${code}`, title: meaning, status, detail, code, action };
}

const statuses: Partial<Record<ErrorCode, number>> = {
  ATOLL_ABORTED: 503,
  ATOLL_ADMIN_FORBIDDEN: 403,
  ATOLL_ADMIN_OVERLOADED: 429,
  ATOLL_ADMIN_UNAUTHENTICATED: 401,
  ATOLL_AUDIT_UNAVAILABLE: 503,
  ATOLL_BUNDLE_INVALID: 400,
  ATOLL_BUS_TIMEOUT: 504,
  ATOLL_BUS_UNAVAILABLE: 503,
  ATOLL_CERTIFICATE_INVALID: 400,
  ATOLL_JOIN_OVERLOADED: 429,
  ATOLL_JOIN_TOKEN_REFUSED: 403,
  ATOLL_NAME_INVALID: 400,
  ATOLL_NOT_FOUND: 404,
  ATOLL_REQUEST_INVALID: 400,
  ATOLL_RESOURCE_INVALID: 400,
  ATOLL_ROLE_CLOSED: 503,
  ATOLL_ROLLBACK_REFUSED: 409,
  ATOLL_SPIFFE_ID_INVALID: 400,
  ATOLL_PLANE_DOUBLED: 409,
  ATOLL_ROTATION_OUT_OF_STEP: 409,
  ATOLL_STORE_BEHIND: 409,
  ATOLL_STORE_FULL: 507,
  ATOLL_STORE_LEASE_LOST: 503,
  ATOLL_STORE_UNAVAILABLE: 503,
  ATOLL_STORE_UNWRITABLE: 503,
  ATOLL_TERMS_DIFFER: 409,
  ATOLL_TIMEOUT: 504,
};
