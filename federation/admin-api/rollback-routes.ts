import { z } from "zod";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import type { Kind, ResourceKinds } from "#federation/model/resource.ts";
import { resourcePath, resourcePathSchema, type ResourcePath } from "./resource-path.ts";
import { accessOf } from "./resource-routes.ts";
import { defineRoute, dryRunQuery, type DryRunQuery, type Route } from "./route.ts";

/** A form that a resource had before. */
export interface FormerFormRow<K extends Kind> {
  /** As `to` names it. */
  readonly generation: number;
  /** Position of the write that made it. */
  readonly revision: number;
  /** The resource was deleted with it. */
  readonly deleted: boolean;
  readonly resource: ResourceKinds[K];
}

/** The former forms of a resource that its plane keeps, the newest first. */
export interface HistoryAnswer<K extends Kind> {
  readonly forms: readonly FormerFormRow<K>[];
}

export interface RollbackBody {
  readonly to?: number;
}

/** The routes of one kind. */
export interface RollbackRoutes<K extends Kind> {
  readonly history: Route<ResourcePath, Record<string, never>, undefined, HistoryAnswer<K>>;
  readonly rollback: Route<ResourcePath, DryRunQuery, RollbackBody, ResourceKinds[K]>;
}

const generation = z.int().min(1);

const rollbackBody: z.ZodType<RollbackBody> = z.strictObject({ to: z.exactOptional(generation.describe("The generation that is put back; unless told, the form before the present one, or the last one of a resource that is deleted.")) });

/** What the forms of a resource of `kind` were, and how one of them is put back. */
export function rollbackRoutes<K extends Kind>(kind: K): RollbackRoutes<K> {
  const params = resourcePathSchema(kind);
  const parseAnswer = (input: unknown): ResourceKinds[K] => readStoredResource(kind, input);
  const form = z.object({ generation, revision: z.int().min(0), deleted: z.boolean(), resource: z.unknown() });
  const formSchema = form.extend({ resource: resourceSchemas[kind] }) as unknown as z.ZodType<FormerFormRow<K>>;
  return {
    history: defineRoute({
      operationId: `get${kind}History`,
      method: "GET",
      path: `${resourcePath(kind)}/history`,
      summary: `The forms that a ${kind} had before, also one that is deleted, as far as they are kept`,
      access: "read",
      params,
      answer: z.object({ forms: z.array(formSchema) }),
      parseAnswer: (input) => ({ forms: z.object({ forms: z.array(form) }).parse(input).forms.map((row) => ({ ...row, resource: parseAnswer(row.resource) })) }),
    }),
    rollback: defineRoute({
      operationId: `rollback${kind}`,
      method: "POST",
      path: `${resourcePath(kind)}/rollback`,
      summary: `Puts a form back that a ${kind} had before, as a new write`,
      access: accessOf(kind),
      params,
      query: dryRunQuery,
      body: rollbackBody,
      answer: resourceSchemas[kind],
      parseAnswer,
    }),
  };
}
