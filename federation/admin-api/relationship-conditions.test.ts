import { expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Relationship } from "#federation/model/resource.ts";
import { shownRelationship, storedRelationship } from "./relationship-conditions.ts";

const nowMs = Date.UTC(2026, 5, 1);
const approvals = [{ side: "caller", signature: "x", approvedAt: "2026-05-01T00:00:00Z" }] as const;
const relationship: Relationship = {
  apiVersion,
  kind: "Relationship",
  metadata: { name: "checkout", generation: 2, createdAt: "2026-01-01T00:00:00Z" },
  spec: {
    caller: { trustDomain: "shop.example" as TrustDomainName, authoritySha256: "aa", principals: ["*"] },
    callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "bb", services: ["core/payments"] },
    validUntil: "2028-01-01T00:00:00Z",
  },
  status: { approvals },
};
const held = { terms: { ...relationship.spec, validUntil: "2027-01-01T00:00:00Z" }, since: "2026-02-01T00:00:00Z" };
const conditionsOf = ({ status }: Relationship): readonly string[] => status?.conditions?.map(({ type, status: is, reason, message, lastTransitionTime }) => `${type} ${is} ${reason} ${lastTransitionTime}: ${message}`) ?? [];

it("says what holds since when and until when, and whose approval what is proposed waits for", () => {
  const shown = shownRelationship(relationship, { standing: { inForce: held, waitsFor: ["callee"] } }, nowMs);
  expect(shown.status?.inForce).toEqual(held);
  expect(conditionsOf(shown)).toEqual([
    "Agreed False WaitsForApproval 2026-05-01T00:00:00Z: what is proposed, until 2028-01-01T00:00:00Z, waits for the approval of pay.example",
    "InForce True Agreed 2026-02-01T00:00:00Z: in force since 2026-02-01T00:00:00Z, until 2027-01-01T00:00:00Z",
  ]);
});

it("says why nothing holds: it ended, nothing was agreed, or what a plane has found wrong", () => {
  const over = shownRelationship(relationship, { standing: { inForce: held, waitsFor: ["caller", "callee"] } }, Date.UTC(2027, 0, 1));
  expect(over.status?.inForce).toBeUndefined();
  expect(conditionsOf(over)[1]).toBe("InForce False Expired 2027-01-01T00:00:00Z: it ended at 2027-01-01T00:00:00Z");
  expect(conditionsOf(shownRelationship(relationship, { standing: { waitsFor: ["callee"] } }, nowMs))[1]).toBe("InForce False NotAgreed 2026-05-01T00:00:00Z: nothing that both sides have approved holds");
  expect(conditionsOf(shownRelationship(relationship, { standing: { waitsFor: ["callee"] }, fault: { reason: "AuthorityUnknown", message: "nothing is known of pay.example yet" } }, nowMs))[1]).toContain("AuthorityUnknown");
});

it("is stored without what is only shown", () => {
  expect(storedRelationship(shownRelationship(relationship, { standing: { inForce: held, waitsFor: [] } }, nowMs))).toEqual(relationship);
  const { status: _, ...bare } = relationship;
  expect(storedRelationship(shownRelationship(bare, { standing: { waitsFor: ["caller"] } }, nowMs))).toEqual(bare);
  expect(storedRelationship(bare)).toEqual(bare);
});
