import { parseClusterJwtAuthorities, type ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { globalOrigin, jwtAuthoritiesKind, objectId } from "#federation/model/replicated-object.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { JwtKeys } from "../credentials/jwt-keys.ts";
import { jwtAuthoritiesContent } from "./jwt-authorities-content.ts";
import type { OwnObjects } from "./own-objects.ts";

export interface PublishJwtKeysOptions {
  readonly cluster: string;
  readonly own: Pick<OwnObjects, "get" | "put">;
  readonly keys: Pick<JwtKeys, "turn" | "published">;
  /** What each receiver has acknowledged, by its name. */
  readonly standings: ReadonlyMap<string, StandingOf>;
  readonly clock: Clock;
}

/** Keys are looked after so often: their ages are days, their ends an hour. */
const lookMs = 60_000;

/** Says in the cluster's name by which keys it signs JWT-SVIDs, and lets them follow each other, until `signal` aborts. */
export async function publishJwtKeys({ cluster, own, keys, standings, clock }: PublishJwtKeysOptions, signal: AbortSignal): Promise<void> {
  const id = objectId({ origin: cluster, kind: jwtAuthoritiesKind, key: cluster });
  for (;;) {
    const said = own.get(jwtAuthoritiesKind, cluster)?.payload;
    const standing = standings.get(globalOrigin)?.(id);
    const isHeard = standing?.isAcknowledged === true && standing.refusal === undefined && standing.generation?.revision === said?.generation.revision;
    const authorities = keys.turn(said === undefined ? [] : readable(said.value), isHeard);
    await own.put(jwtAuthoritiesKind, cluster, jwtAuthoritiesContent(authorities), signal);
    keys.published(authorities);
    await sleep(clock, lookMs, signal);
  }
}

/** What a program of another version has said may not be for us to read; then it is said anew. */
function readable(value: Uint8Array): readonly ClusterJwtAuthority[] {
  try {
    return parseClusterJwtAuthorities(value);
  } catch (error) {
    if (!isAtollError(error, "ATOLL_BUNDLE_INVALID")) throw error;
    return [];
  }
}
