import type { Relationship } from "#federation/model/resource.ts";
import { globalName } from "./cast.ts";

// A register is what one origin says of one thing, by a name: `policy/p0`, `export/shop-eu/s1`, `relationship`. Its versions are told from each
// other by a number that the resource has anyway.

/** So many policies there are … */
export const policyKeys = 4;
/** … and so many services of each cluster. */
export const serviceKeys = 3;

/** What a version is added to where the number has to be a port or a time limit. */
export const versionBase = 1_000;

/** The one relationship's. */
export const relationshipRegister = "relationship";

export function policyName(key: number): string {
  return `p${key}`;
}

export function policyRegister(key: number): string {
  return `policy/${policyName(key)}`;
}

export function serviceName(key: number): string {
  return `s${key}`;
}

export function exportRegister(cluster: string, key: number): string {
  return `export/${cluster}/${serviceName(key)}`;
}

/** The plane that owns it. */
export function originOf(register: string): string {
  const [kind, cluster = ""] = register.split("/");
  return kind === "export" ? cluster : globalName;
}

/** The version of a relationship. */
export function versionOf({ spec }: Relationship): number {
  return (Date.parse(spec.validUntil) - farMs) / 1_000;
}

/** The end of a relationship of that version. */
export function validUntilOf(version: number): string {
  return new Date(farMs + version * 1_000).toISOString();
}

const farMs = Date.UTC(2090, 0, 1);
