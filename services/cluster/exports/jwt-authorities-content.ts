import { encodeClusterJwtAuthorities, type ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { everyone } from "#federation/model/replicated-object.ts";
import type { OwnContent } from "./own-objects.ts";

/** What a cluster says of the keys by which it signs JWT-SVIDs: to everybody, as its trust domain's roots are told. */
export function jwtAuthoritiesContent(authorities: readonly ClusterJwtAuthority[]): OwnContent {
  const value = encodeClusterJwtAuthorities(authorities);
  return { fingerprint: Buffer.from(value).toString("utf8"), audience: [everyone], encode: () => value };
}
