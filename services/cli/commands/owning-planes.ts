import { AtollError } from "#federation/runtime/errors.ts";
import { kindInfos, type Kind } from "#federation/model/resource.ts";

/**
 * The planes that own resources of `kind` and are to be asked: the global one, or those of `clusters`. `instead` says what to do where nobody owns them.
 * @throws {ATOLL_USAGE} for a kind that is derived, and for one of a cluster where none is named
 */
export function owningPlanes(kind: Kind, clusters: readonly string[], instead: string): readonly string[] {
  const { owner } = kindInfos[kind];
  if (owner === "derived") throw new AtollError("ATOLL_USAGE", `a ${kind} is derived: ${instead}`);
  if (owner === "cluster" && clusters.length === 0) throw new AtollError("ATOLL_USAGE", `a ${kind} belongs to a cluster: say to which with --cluster`);
  return owner === "global" ? ["global"] : clusters;
}
