import type { FederationStatus, ClusterRow } from "./status.ts";

/** Which process of a plane's name answers, and whether there is another, as its status says it. */
export type PlaneIncarnation = NonNullable<FederationStatus["incarnation"]>;

/** What a plane knows of itself and of another one of its name. */
export interface KnownIncarnation {
  readonly id: string;
  readonly met: { readonly rival: string; readonly witness: string; readonly sinceMs: number } | undefined;
}

export function planeIncarnation({ id, met }: KnownIncarnation): PlaneIncarnation {
  return { id, ...(met === undefined ? {} : { rival: { id: met.rival, witness: met.witness, sinceMs: met.sinceMs } }) };
}

/** That a publisher is two processes, as a status says it; nothing while it is one. */
export function doubledField(doubled: { readonly incarnations: readonly string[]; readonly sinceMs: number } | undefined): Pick<ClusterRow, "doubled"> {
  return doubled === undefined ? {} : { doubled: { incarnations: [...doubled.incarnations], sinceMs: doubled.sinceMs } };
}
