import type { Cluster, Relationship } from "#federation/model/resource.ts";
import { globalOrigin, isInAudience, type ObjectPayload } from "#federation/model/replicated-object.ts";

/** What decides who is offered what: the clusters and the relationships of the federation. */
export interface OfferContext {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly relationships: readonly Relationship[];
  /** True for a relationship that both sides' authorities have approved in its present form and whose date has not passed. */
  readonly isActive: (relationship: Relationship) => boolean;
}

/**
 * True when `cluster` is to be told of an object. Clusters check what they are told by themselves; this keeps what is
 * none of their business from reaching them at all. Pure.
 */
export function isOfferedTo(cluster: Cluster, object: ObjectPayload, context: OfferContext): boolean {
  const own = cluster.spec.trustDomain;
  if (object.origin === globalOrigin) return isGlobalObjectOffered(object, own, context);
  if (object.kind !== "ServiceExport" || object.origin === cluster.metadata.name) return false;
  if (!isInAudience(object.audience, [own, `cluster:${cluster.metadata.name}`])) return false;
  return object.originTrustDomain === own || isRelated(own, object.originTrustDomain, object.key, context);
}

function isGlobalObjectOffered(object: ObjectPayload, own: string, context: OfferContext): boolean {
  if (object.kind !== "Relationship") return true;
  const relationship = context.relationships.find((candidate) => candidate.metadata.name === object.key);
  return relationship !== undefined && (relationship.spec.caller.trustDomain === own || relationship.spec.callee.trustDomain === own);
}

/** An active relationship lets `caller` call this service of `callee`. */
function isRelated(caller: string, callee: string, service: string, { relationships, isActive }: OfferContext): boolean {
  return relationships.some(
    (relationship) =>
      relationship.spec.caller.trustDomain === caller &&
      relationship.spec.callee.trustDomain === callee &&
      relationship.spec.callee.services.includes(service) &&
      isActive(relationship),
  );
}
