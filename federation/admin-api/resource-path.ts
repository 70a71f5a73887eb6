import { z } from "zod";
import { labelSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import { isNamedByTrustDomain, kindInfos, type Kind } from "#federation/model/resource.ts";

/** The name in a path, and the namespace for the kinds that have one. */
export interface ResourcePath {
  readonly name: string;
  readonly namespace?: string;
}

/** The path of all resources of `kind`. */
export function kindPath(kind: Kind): string {
  return `/api/v1/${kindInfos[kind].plural}`;
}

/** The path of one of them, with its names in braces. */
export function resourcePath(kind: Kind): string {
  return `${kindPath(kind)}/${kindInfos[kind].namespaced ? "{namespace}/" : ""}{name}`;
}

/** Reads the names in that path. */
export function resourcePathSchema(kind: Kind): z.ZodType<ResourcePath> {
  const nameSchema = isNamedByTrustDomain(kind) ? trustDomainSchema : kind === "ServiceImport" ? z.string().max(127) : labelSchema;
  return z.strictObject(kindInfos[kind].namespaced ? { namespace: labelSchema, name: nameSchema } : { name: nameSchema }) as unknown as z.ZodType<ResourcePath>;
}
