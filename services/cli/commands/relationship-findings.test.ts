import { expect, it } from "vitest";
import type { RelationshipRow } from "#federation/admin-api/status.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { relationshipProblems } from "./relationship-findings.ts";

const asOfMs = Date.UTC(2026, 10, 30);
const pay = "pay.example" as TrustDomainName;
const row = (over: Partial<RelationshipRow>): RelationshipRow => ({ name: "checkout", caller: "shop.example" as TrustDomainName, callee: pay, state: "active", validUntil: "2026-12-14T00:00:00Z", ...over });
const problems = (over: Partial<RelationshipRow>): readonly string[] => relationshipProblems({ asOfMs, relationships: [row(over)] });

it("names a relationship from 14 days before its end on, and what is missing to another one", () => {
  expect(problems({})).toEqual(["relationship checkout of shop.example and pay.example ends in 14 d, at 2026-12-14T00:00:00Z: apply it with a later `validUntil`, and have both sides approve that; what was agreed holds meanwhile"]);
  expect(problems({ validUntil: "2026-12-14T00:00:00.001Z" })).toEqual([]);
  expect(problems({ proposed: { validUntil: "2027-12-14T00:00:00Z", waitsFor: [pay] } })[0]).toMatch(/what is proposed until 2027-12-14T00:00:00Z waits for `atoll relationship approve checkout --as pay.example`$/);
});

it("finds no fault with terms that wait while others hold for long, but with what does nothing", () => {
  expect(problems({ validUntil: "2028-01-01T00:00:00Z", proposed: { validUntil: "2029-01-01T00:00:00Z", waitsFor: [pay] } })).toEqual([]);
  expect(problems({ state: "waitingForApproval" })).toEqual(["relationship checkout is waiting for approval: `atoll relationship approve`"]);
  expect(problems({ state: "expired" })).toEqual(["relationship checkout is expired"]);
});
