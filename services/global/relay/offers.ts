import type { Cluster, Relationship, RelationshipSpec } from "#federation/model/resource.ts";
import { globalOrigin, isInAudience, jwtAuthoritiesKind, type ObjectPayload } from "#federation/model/replicated-object.ts";

/** What decides who is offered what: the clusters and the relationships of the federation. */
export interface OfferContext {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly relationships: readonly Relationship[];
  /** The terms of a relationship that hold now by both sides' signatures, the same object while they are the same; undefined: none. */
  readonly inForce: (relationship: Relationship) => RelationshipSpec | undefined;
}

/**
 * True when `cluster` is to be told of an object. Clusters check what they are told by themselves; this keeps what is
 * none of their business from reaching them at all. Pure.
 */
export function isOfferedTo(cluster: Cluster, object: ObjectPayload, context: OfferContext): boolean {
  const own = cluster.spec.trustDomain;
  if (object.origin === globalOrigin) return isGlobalObjectOffered(object, own, context);
  if (object.origin === cluster.metadata.name) return false;
  // Public like the roots of its trust domain, which every cluster is told; whom they make believed follows from relationships there.
  if (object.kind === jwtAuthoritiesKind) return isInAudience(object.audience, [own]);
  if (object.kind !== "ServiceExport") return false;
  if (!isInAudience(object.audience, [own, `cluster:${cluster.metadata.name}`])) return false;
  return object.originTrustDomain === own || isRelated(own, object.originTrustDomain, object.key, context);
}

function isGlobalObjectOffered(object: ObjectPayload, own: string, context: OfferContext): boolean {
  if (object.kind !== "Relationship") return true;
  const relationship = context.relationships.find((candidate) => candidate.metadata.name === object.key);
  return relationship !== undefined && (relationship.spec.caller.trustDomain === own || relationship.spec.callee.trustDomain === own);
}

/** What holds of a relationship lets `caller` call this service of `callee`. */
function isRelated(caller: string, callee: string, service: string, { relationships, inForce }: OfferContext): boolean {
  return relationships.some((relationship) => {
    const terms = relationship.spec.caller.trustDomain === caller ? inForce(relationship) : undefined;
    return terms?.caller.trustDomain === caller && terms.callee.trustDomain === callee && terms.callee.services.includes(service);
  });
}
