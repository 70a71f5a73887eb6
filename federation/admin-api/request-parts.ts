import type { FastifyRequest } from "fastify";
import type { z } from "zod";
import { faultsOf } from "#federation/model/parse/fault.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { invalidRequest } from "./problem.ts";
import type { AdminRequest, AnyRoute } from "./route.ts";

/** The parts of a request as its route's schemas take them. @throws {ATOLL_REQUEST_INVALID | ATOLL_RESOURCE_INVALID} with every fault of a part. */
export function readParts(route: AnyRoute, incoming: FastifyRequest): Pick<AdminRequest<unknown, unknown, unknown>, "params" | "query" | "body" | "ifRevision"> {
  const params: unknown = parsePart(route.params, incoming.params ?? {});
  const query: unknown = parsePart(route.query, { ...(incoming.query as object) });
  const isResource = route.method === "PUT" && route.operationId.startsWith("apply");
  const body: unknown = parsePart(route.body, incoming.body ?? undefined, isResource ? "ATOLL_RESOURCE_INVALID" : "ATOLL_REQUEST_INVALID");
  const ifRevision = preconditionOf(incoming);
  return { params, query, body, ...(ifRevision === undefined ? {} : { ifRevision }) };
}

function parsePart(schema: z.ZodType, input: unknown, code: "ATOLL_REQUEST_INVALID" | "ATOLL_RESOURCE_INVALID" = "ATOLL_REQUEST_INVALID"): unknown {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw invalidRequest(code, faultsOf(result.error, input));
}

/** The revision of `If-Match`, or 0 for `If-None-Match: *`. @see https://www.rfc-editor.org/rfc/rfc9110#section-13.1 */
function preconditionOf(incoming: FastifyRequest): number | undefined {
  const { "if-match": match, "if-none-match": noneMatch } = incoming.headers;
  if (noneMatch !== undefined) {
    if (noneMatch !== "*" || match !== undefined) throw new AtollError("ATOLL_REQUEST_INVALID", "If-None-Match is understood as * and without If-Match");
    return 0;
  }
  if (match === undefined) return undefined;
  const digits = /^"(\d{1,15})"$/.exec(match)?.[1];
  if (digits === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `If-Match is the ETag that was read, e.g. "42"`);
  return Number(digits);
}
