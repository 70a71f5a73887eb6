import type { ReceiverOptions } from "#federation/replication/shell/run-receiver.ts";
import { unsignedWithdrawalsMax } from "#federation/model/removal-bounds.ts";
import { globalOrigin, jwtAuthoritiesKind, type ObjectPayload } from "#federation/model/replicated-object.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import type { ExportedService } from "#federation/model/resource.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import { isAllowedToExport } from "../replicated/visible-imports.ts";
import type { ReplicatedState } from "../replicated/replicated-view.ts";

/** Kinds that only the global plane says. */
const globalKinds = new Set(["Region", "Cluster", "TrustDomain", "Relationship", "TrafficPolicy"]);

/** Whoever was given a right by the global plane loses it at its word. Planes of an earlier version sign no deletions. */
export const receivedBrake: NonNullable<ReceiverOptions["brake"]> = { rightsKinds: ["TrustDomain", "Relationship"], freeMax: unsignedWithdrawalsMax };

/**
 * Whether a verified object is one that its origin may say: the global plane its own kinds, another cluster its own JWT authorities and the
 * exports of its own services, in the namespaces that it may export, from the region that it is in. What the global plane relays is
 * checked here once more, because a relay is not believed.
 */
export function admitsReceived(self: ClusterSelf, replicated: () => ReplicatedState): NonNullable<ReceiverOptions["admits"]> {
  return (payload) => {
    if (payload.origin === globalOrigin) return globalKinds.has(payload.kind);
    if (payload.origin === self.cluster) return false;
    if (payload.kind === jwtAuthoritiesKind) return isOwnJwtAuthorities(payload, replicated());
    return payload.kind === "ServiceExport" && isOwnExport(payload, replicated());
  };
}

function isOwnJwtAuthorities({ key, origin, originTrustDomain }: ObjectPayload, { clusters }: ReplicatedState): boolean {
  const cluster = clusters.get(origin);
  // As with exports: until its resource has come, nothing is made of what an unknown cluster says.
  return key === origin && (cluster === undefined || cluster.spec.trustDomain === originTrustDomain);
}

function isOwnExport(payload: ObjectPayload, replicated: ReplicatedState): boolean {
  if (payload.tombstone) return true;
  const exported = readExport(payload);
  if (exported === undefined) return false;
  if (exported.cluster !== payload.origin || exported.trustDomain !== payload.originTrustDomain || `${exported.namespace}/${exported.name}` !== payload.key) return false;
  if (exported.serverIdentities.some((identity) => !identity.startsWith(`spiffe://${exported.trustDomain}/ns/${exported.namespace}/`))) return false;
  const cluster = replicated.clusters.get(payload.origin);
  // A cluster that is not known yet is admitted by its signature alone; nothing is made of it until its resource has come.
  return cluster === undefined || isAllowedToExport(exported, cluster);
}

/** Undefined for what cannot be read: one bad object must not keep the others of its frame away. */
function readExport(payload: ObjectPayload): ExportedService | undefined {
  try {
    return parseExportedService(payload.value);
  } catch (error) {
    if (isAtollError(error)) return undefined;
    throw error;
  }
}
