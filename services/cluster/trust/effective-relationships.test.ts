import { createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Relationship, type RelationshipSide, type TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput } from "#federation/model/signing-input.ts";
import { judgeRelationship } from "./effective-relationships.ts";
import { createAuthority } from "#federation/identity/authority.ts";

const nowMs = Date.UTC(2026, 5, 1);

function party(name: string): { readonly name: TrustDomainName; readonly key: string; readonly pin: string; readonly resource: TrustDomain } {
  const authority = createAuthority({ trustDomain: name as TrustDomainName, validityMs: 1e11, nowMs });
  const spki = createPublicKey(authority.certificatePem).export({ type: "spki", format: "der" });
  return {
    name: name as TrustDomainName,
    key: authority.privateKeyPem,
    pin: createHash("sha256").update(spki).digest("hex"),
    resource: {
      apiVersion,
      kind: "TrustDomain",
      metadata: { name },
      spec: { authorityCertificatePem: authority.certificatePem, bundle: "{}", bundleSignature: "" },
    },
  };
}

const shop = party("shop.example");
const pay = party("pay.example");
const known = new Map([shop, pay].map((one) => [one.name as string, one.resource]));

function relationship(over: Partial<Relationship["spec"]> = {}): Relationship {
  return {
    apiVersion,
    kind: "Relationship",
    metadata: { name: "shop-calls-payments" },
    spec: {
      caller: { trustDomain: shop.name, authoritySha256: shop.pin, principals: ["ns/web/sa/storefront"] },
      callee: { trustDomain: pay.name, authoritySha256: pay.pin, services: ["core/payments"] },
      validUntil: "2027-01-01T00:00:00Z",
      ...over,
    },
  };
}

function approved(base: Relationship, keys: Partial<Record<RelationshipSide, string>>): Relationship {
  const approvals = Object.entries(keys).map(([side, key]) => ({
    side: side as RelationshipSide,
    signature: sign("sha256", relationshipSigningInput(base.metadata.name, base.spec), { key, dsaEncoding: "ieee-p1363" }).toString("base64url"),
    approvedAt: "2026-05-01T00:00:00Z",
  }));
  return { ...base, status: { approvals } };
}

const reasonOf = (subject: Relationship): string => {
  const verdict = judgeRelationship(subject, known, nowMs);
  return verdict.kind === "none" ? verdict.reason : "effective";
};

describe("judgeRelationship", () => {
  it("has effect when both authorities have signed its present form", () => {
    const verdict = judgeRelationship(approved(relationship(), { caller: shop.key, callee: pay.key }), known, nowMs);
    expect(verdict).toMatchObject({ kind: "effective", relationship: { principals: ["spiffe://shop.example/ns/web/sa/storefront"], services: ["core/payments"] } });
  });

  it("waits for each side", () => {
    expect(reasonOf(approved(relationship(), { caller: shop.key }))).toBe("CalleeHasNotApproved");
    expect(reasonOf(approved(relationship(), { callee: pay.key }))).toBe("CallerHasNotApproved");
  });

  it("cannot be invented: a signature by any other key counts for nothing", () => {
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect(reasonOf(approved(relationship(), { caller: other, callee: pay.key }))).toBe("CallerHasNotApproved");
    expect(reasonOf(approved(relationship(), { caller: shop.key, callee: shop.key }))).toBe("CalleeHasNotApproved");
  });

  it("is void once the spec is widened behind the signatures", () => {
    const signed = approved(relationship(), { caller: shop.key, callee: pay.key });
    const widened = { ...signed, spec: { ...signed.spec, callee: { ...signed.spec.callee, services: ["core/payments", "core/ledger"] } } };
    expect(reasonOf(widened)).toBe("CallerHasNotApproved");
  });

  it("goes by what both have signed before while other terms are proposed, as far as those allow it, and by nothing that one has not signed", () => {
    const { approvals = [] } = approved(relationship(), { caller: shop.key, callee: pay.key }).status ?? {};
    const agreed = { terms: relationship().spec, approvals };
    const proposed = (over: Partial<Relationship["spec"]>, of = agreed): Relationship => ({ ...relationship(over), status: { approvals: [], agreed: of } });
    const longer = judgeRelationship(proposed({ validUntil: "2028-01-01T00:00:00Z" }), known, nowMs);
    expect(longer).toMatchObject({ kind: "effective", standing: { waitsFor: ["caller", "callee"] }, relationship: { services: ["core/payments"], untilMs: Date.UTC(2027, 0, 1) } });
    expect(judgeRelationship(proposed({ validUntil: "2026-07-01T00:00:00Z" }), known, nowMs)).toMatchObject({ kind: "effective", relationship: { untilMs: Date.UTC(2026, 6, 1) } });
    expect(judgeRelationship(proposed({ validUntil: "2028-01-01T00:00:00Z" }), known, Date.UTC(2027, 0, 1))).toMatchObject({ kind: "none", reason: "CallerHasNotApproved", message: expect.stringContaining("what was agreed before ended at 2027-01-01T00:00:00Z") });
    const invented = { ...agreed, terms: { ...agreed.terms, validUntil: "2028-01-01T00:00:00Z" } };
    expect(reasonOf(proposed({ validUntil: "2028-01-01T00:00:00Z" }, invented))).toBe("CallerHasNotApproved");
    expect(reasonOf(proposed({ validUntil: "2028-01-01T00:00:00Z" }, { ...agreed, approvals: approvals.map((one) => ({ ...one, side: "caller" as const })) }))).toBe("CallerHasNotApproved");
  });

  it("ends at its date, and with an authority other than the pinned one", () => {
    expect(reasonOf(approved(relationship({ validUntil: "2026-05-31T00:00:00Z" }), { caller: shop.key, callee: pay.key }))).toBe("Expired");
    const moved = relationship({ callee: { trustDomain: pay.name, authoritySha256: shop.pin, services: ["core/payments"] } });
    expect(reasonOf(approved(moved, { caller: shop.key, callee: pay.key }))).toBe("AuthorityChanged");
  });
});
