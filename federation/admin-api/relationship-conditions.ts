import { heldAt, latestTime, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Condition, Relationship } from "#federation/model/resource.ts";

/** What a plane has found out about a relationship: how it stands by the signatures, and in words why it does nothing where it does not. */
export interface FoundStanding {
  readonly standing: RelationshipStanding;
  /** Where nothing of it holds. */
  readonly fault?: { readonly reason: string; readonly message: string };
}

/**
 * A relationship as it is shown: with what holds of it, and its conditions `InForce` and `Agreed`, which follow from signatures and the clock
 * and are never stored. What was approved by nobody changed at a time that nobody has noted: its transition is the last that is known. Pure.
 */
export function shownRelationship(relationship: Relationship, { standing, fault }: FoundStanding, nowMs: number): Relationship {
  const inForce = heldAt(standing, nowMs);
  const conditions = [agreed(relationship, standing), inForceCondition(relationship, standing, { holds: inForce !== undefined, fault })];
  return { ...relationship, status: { ...relationship.status, conditions, ...(inForce === undefined ? {} : { inForce }) } };
}

/** What is stored of a relationship that was shown. Pure. */
export function storedRelationship(relationship: Relationship): Relationship {
  const { status, ...rest } = relationship;
  if (status === undefined) return relationship;
  const { conditions: _, inForce: __, ...stored } = status;
  return Object.keys(stored).length === 0 ? rest : { ...rest, status: stored };
}

function agreed({ metadata, spec, status }: Relationship, { inForce, waitsFor }: RelationshipStanding): Condition {
  const sides = waitsFor.map((side) => spec[side].trustDomain).join(" and of ");
  return {
    type: "Agreed",
    status: waitsFor.length === 0 ? "True" : "False",
    reason: waitsFor.length === 0 ? "NothingWaits" : "WaitsForApproval",
    message: waitsFor.length === 0 ? "what is proposed is what was agreed, or less" : `what is proposed, until ${spec.validUntil}, waits for the approval of ${sides}`,
    observedGeneration: metadata.generation ?? 0,
    lastTransitionTime: waitsFor.length === 0 && inForce !== undefined ? inForce.since : lastKnown(metadata, status),
  };
}

function inForceCondition({ metadata, spec, status }: Relationship, { inForce }: RelationshipStanding, { holds, fault }: { readonly holds: boolean; readonly fault: FoundStanding["fault"] }): Condition {
  const common = { type: "InForce", observedGeneration: metadata.generation ?? 0 };
  if (inForce !== undefined && holds) {
    return { ...common, status: "True", reason: "Agreed", message: `in force since ${inForce.since}, until ${inForce.terms.validUntil}`, lastTransitionTime: inForce.since };
  }
  const ended = inForce?.terms.validUntil ?? spec.validUntil;
  const { reason, message } = fault ?? (inForce === undefined ? { reason: "NotAgreed", message: "nothing that both sides have approved holds" } : { reason: "Expired", message: `it ended at ${ended}` });
  return { ...common, status: "False", reason, message, lastTransitionTime: inForce === undefined ? lastKnown(metadata, status) : ended };
}

function lastKnown({ createdAt }: Relationship["metadata"], status: Relationship["status"]): string {
  return latestTime([createdAt ?? "1970-01-01T00:00:00Z", ...(status?.approvals ?? []).map(({ approvedAt }) => approvedAt)]);
}
