import { heldAt, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Relationship } from "#federation/model/resource.ts";
import type { RelationshipRow } from "./status.ts";

/** How a relationship stands, in a plane's status. Pure. */
export function relationshipRow({ metadata, spec }: Relationship, standing: RelationshipStanding, nowMs: number): RelationshipRow {
  const row = { name: metadata.name, caller: spec.caller.trustDomain, callee: spec.callee.trustDomain };
  const inForce = heldAt(standing, nowMs);
  if (inForce === undefined) return { ...row, state: Date.parse(spec.validUntil) <= nowMs ? "expired" : "waitingForApproval", validUntil: spec.validUntil };
  const { waitsFor } = standing;
  const proposed = waitsFor.length === 0 ? {} : { proposed: { validUntil: spec.validUntil, waitsFor: waitsFor.map((side) => spec[side].trustDomain) } };
  return { ...row, state: "active", validUntil: inForce.terms.validUntil, since: inForce.since, ...proposed };
}
