import { z } from "zod";
import { kinds } from "#federation/model/resource.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import { problemContentType, problemSchema } from "./problem.ts";
import type { AnyRoute } from "./route.ts";

/** What an OpenAPI document says of itself. */
export interface OpenApiInfo {
  readonly title: string;
  readonly version: string;
}

type Json = Readonly<Record<string, unknown>>;

/** The OpenAPI 3.1 document of `routes`. Kinds and problems are components; everything else stands where it is used. */
export function createOpenApi(info: OpenApiInfo, routes: readonly AnyRoute[]): Json {
  const components = new Map<string, unknown>();
  const schemaOf = (schema: z.ZodType): unknown => toSchema(schema, components);
  const problem = { description: "Refused or failed.", content: { [problemContentType]: { schema: schemaOf(problemSchema) } } };
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operationOf(route, schemaOf, problem);
  }
  return {
    openapi: "3.1.0",
    info: { ...info, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    security: [{ mutualTLS: [] }, { bearer: [] }],
    paths,
    components: { schemas: Object.fromEntries(components), securitySchemes: { mutualTLS: { type: "mutualTLS" }, bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } } },
  };
}

const named = z.registry<{ id: string }>();
for (const kind of kinds) named.add(resourceSchemas[kind], { id: kind });
named.add(problemSchema, { id: "Problem" });

function operationOf(route: AnyRoute, schemaOf: (schema: z.ZodType) => unknown, problem: unknown): Json {
  const body = route.body instanceof z.ZodUndefined ? {} : { requestBody: { required: true, content: { "application/json": { schema: schemaOf(route.body) } } } };
  const event = route.event === undefined ? {} : { "text/event-stream": { schema: schemaOf(route.event) } };
  return {
    operationId: route.operationId,
    summary: route.summary,
    parameters: [...parametersOf("path", schemaOf(route.params)), ...parametersOf("query", schemaOf(route.query)), ...preconditions(route)],
    ...body,
    responses: {
      200: { description: "Done.", content: { "application/json": { schema: schemaOf(route.answer) }, ...event } },
      ...(route.method === "PUT" ? { 201: { description: "Created.", content: { "application/json": { schema: schemaOf(route.answer) } } } } : {}),
      default: problem,
    },
  };
}

function parametersOf(place: "path" | "query", schema: unknown): readonly Json[] {
  const { properties = {}, required = [] } = schema as { readonly properties?: Json; readonly required?: readonly string[] };
  return Object.entries(properties).map(([name, of]) => ({ name, in: place, required: place === "path" || required.includes(name), schema: of }));
}

function preconditions(route: AnyRoute): readonly Json[] {
  if (route.method !== "PUT" && route.method !== "DELETE") return [];
  const ifMatch = { name: "If-Match", in: "header", required: false, schema: { type: "string" }, description: 'The ETag that was read, e.g. "42".' };
  const ifNoneMatch = { name: "If-None-Match", in: "header", required: false, schema: { const: "*" }, description: "Only create." };
  return route.method === "PUT" ? [ifMatch, ifNoneMatch] : [ifMatch];
}

/** The JSON Schema of `schema`; named parts move to the components. */
function toSchema(schema: z.ZodType, components: Map<string, unknown>): unknown {
  // Wrapped, because only schemas below the top become references.
  const whole = z.toJSONSchema(z.object({ it: schema }), { target: "draft-2020-12", io: "input", metadata: named, unrepresentable: "any" });
  for (const [id, definition] of Object.entries(whole.$defs ?? {})) components.set(id, withoutIds(rewritten(definition)));
  return rewritten((whole.properties as Json)["it"]);
}

function rewritten(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/$defs/', '"$ref":"#/components/schemas/')) as unknown;
}

function withoutIds(schema: unknown): unknown {
  const { id: _, $id: __, ...rest } = schema as Json;
  return rest;
}
