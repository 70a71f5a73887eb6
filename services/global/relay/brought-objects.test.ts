import { sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthority } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { encodeClusterJwtAuthorities } from "#federation/identity/cluster-jwt-authorities.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type RecordedApproval, type Relationship, type RelationshipApproval, type RelationshipSide, type TrustDomain } from "#federation/model/resource.ts";
import type { ObjectPayload } from "#federation/model/replicated-object.ts";
import { relationshipSigningInput, trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { ApprovedRelationships } from "../trust/approved-relationships.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { judgeTrustDomain } from "../trust/judge-trust-domain.ts";
import { changesBrought, mayBring, type BroughtView } from "./brought-objects.ts";

const nowMs = Date.UTC(2026, 5, 1);
function party(name: string) {
  const trustDomain = name as TrustDomainName;
  const authority = createAuthority({ trustDomain, validityMs: 1e11, nowMs });
  const domain = createDomainFixture(name, nowMs);
  const signed = (input: Uint8Array): string => sign("sha256", input, { key: authority.privateKeyPem, dsaEncoding: "ieee-p1363" }).toString("base64url");
  const resource = (sequence = 1): TrustDomain => {
    const bundle = encodeBundle({ ...domain.bundle, sequence });
    return {
      apiVersion,
      kind: "TrustDomain",
      metadata: { name },
      spec: { authorityCertificatePem: authority.certificatePem, bundle, bundleSignature: signed(trustDomainSigningInput(trustDomain, bundle)) },
    };
  };
  return { trustDomain, signed, resource };
}
const shop = party("shop.example");
const pay = party("pay.example");
const impostor = party("shop.example");

const cluster: Cluster = {
  apiVersion,
  kind: "Cluster",
  metadata: { name: "shop-eu" },
  spec: { region: "eu-west" as RegionId, trustDomain: shop.trustDomain, exportNamespaces: ["web"], gateways: [] },
};
const relationship = (approvals: readonly RecordedApproval[] = []): Relationship => ({
  apiVersion,
  kind: "Relationship",
  metadata: { name: "r" },
  spec: {
    caller: { trustDomain: shop.trustDomain, authoritySha256: authorityPinOf(shop.resource().spec.authorityCertificatePem), principals: ["*"] },
    callee: { trustDomain: pay.trustDomain, authoritySha256: authorityPinOf(pay.resource().spec.authorityCertificatePem), services: ["core/payments"] },
    validUntil: "2027-01-01T00:00:00Z",
  },
  status: { approvals },
});
const approvalBy = (by: ReturnType<typeof party>, side: RelationshipSide, approvedAt = "2026-01-01T00:00:00Z"): RelationshipApproval => ({
  side,
  signature: by.signed(relationshipSigningInput("r", relationship().spec)),
  approvedAt,
});
const payload = (kind: string, key: string, value: unknown, over: Partial<ObjectPayload> = {}): ObjectPayload => ({
  federation: "demo.atoll",
  origin: "shop-eu",
  originTrustDomain: shop.trustDomain,
  kind,
  key,
  generation: { epoch: 1, revision: 1 },
  audience: ["*"],
  tombstone: false,
  value: Buffer.from(JSON.stringify(value)),
  ...over,
});
const view = (objects: readonly ObjectPayload[], known: Relationship | undefined = relationship()): BroughtView => ({
  objects,
  relationship: (name) => (name === "r" ? known : undefined),
  trustDomain: (name) => [shop, pay].find((one) => one.trustDomain === name)?.resource(),
});

describe("mayBring", () => {
  it("lets a cluster speak of its own trust domain and approvals, in nobody else's name", () => {
    expect(mayBring(cluster, payload("TrustDomain", "shop.example", shop.resource()))).toBe(true);
    expect(mayBring(cluster, payload("RelationshipApproval", "r", approvalBy(shop, "caller")))).toBe(true);
    expect(mayBring(cluster, payload("TrustDomain", "pay.example", pay.resource()))).toBe(false);
    expect(mayBring(cluster, payload("TrustDomain", "shop.example", pay.resource()))).toBe(false);
    expect(mayBring(cluster, payload("RelationshipApproval", "r", approvalBy(shop, "caller"), { originTrustDomain: "pay.example" }))).toBe(false);
    expect(mayBring(cluster, payload("RelationshipApproval", "r", approvalBy(shop, "caller"), { origin: "shop-us" }))).toBe(false);
    expect(mayBring(cluster, payload("Relationship", "r", relationship()))).toBe(false);
  });

  it("lets a cluster say by which keys it signs JWT-SVIDs, itself and nobody else", () => {
    const value = encodeClusterJwtAuthorities([jwtAuthorityOf(createKeyPair().publicKey)]);
    expect(mayBring(cluster, payload("JwtAuthorities", "shop-eu", "", { value }))).toBe(true);
    expect(mayBring(cluster, payload("JwtAuthorities", "shop-eu", "", { value: new Uint8Array(), tombstone: true }))).toBe(true);
    expect(mayBring(cluster, payload("JwtAuthorities", "shop-us", "", { value }))).toBe(false);
    expect(mayBring(cluster, payload("JwtAuthorities", "shop-eu", "", { value, originTrustDomain: "pay.example" }))).toBe(false);
    expect(mayBring(cluster, payload("JwtAuthorities", "shop-eu", { keys: [] }))).toBe(false);
  });

  it("does not throw on what it cannot read", () => {
    for (const kind of ["JwtAuthorities", "TrustDomain", "RelationshipApproval", "ServiceExport"]) {
      expect(mayBring(cluster, payload(kind, "shop.example", "", { value: Buffer.from("{") }))).toBe(false);
      expect(mayBring(cluster, payload(kind, "shop.example", {}))).toBe(false);
    }
  });
});

describe("changesBrought", () => {
  it("records an approval that the authority of the bringer's own side signed", () => {
    const good = payload("RelationshipApproval", "r", approvalBy(shop, "caller"));
    expect(changesBrought(view([good]))).toMatchObject([{ kind: "approval", relationship: "r", approval: { side: "caller" } }]);
  });

  it.each([
    ["for the other side", approvalBy(shop, "callee"), {}],
    ["of the other side's authority, brought by us", approvalBy(pay, "callee"), {}],
    ["by a key that is not the pinned authority", approvalBy(impostor, "caller"), {}],
    ["of a relationship that is not there", approvalBy(shop, "caller"), { key: "other" }],
    ["that was deleted", approvalBy(shop, "caller"), { tombstone: true }],
  ])("takes no approval %s", (_what, approval, over) => {
    expect(changesBrought(view([payload("RelationshipApproval", "r", approval, over)]))).toEqual([]);
  });

  it("comes to rest when two clusters brought approvals of one side: the later stays", () => {
    const early = approvalBy(shop, "caller", "2026-01-01T00:00:00Z");
    const late = approvalBy(shop, "caller", "2026-02-01T00:00:00Z");
    const objects = [payload("RelationshipApproval", "r", late, { origin: "shop-us" }), payload("RelationshipApproval", "r", early)];
    expect(changesBrought(view(objects))).toMatchObject([{ approval: late }]);
    expect(changesBrought(view(objects, relationship([late])))).toEqual([]);
    expect(changesBrought(view(objects, relationship([early])))).toMatchObject([{ approval: late }]);
  });

  it("ends what a side approved before it took that back, and nothing that it approved afterwards", () => {
    const early = approvalBy(shop, "caller", "2026-01-01T00:00:00Z");
    const late = approvalBy(shop, "caller", "2026-03-01T00:00:00Z");
    const withdrawal = { side: "caller", withdrawnAt: "2026-02-01T00:00:00Z" };
    const said = payload("RelationshipApproval", "r", withdrawal, { origin: "shop-eu" });
    expect(mayBring(cluster, said)).toBe(true);
    expect(changesBrought(view([said], relationship([early])))).toEqual([{ kind: "withdrawal", relationship: "r", withdrawal }]);
    expect(changesBrought(view([said], relationship([])))).toEqual([]);
    expect(changesBrought(view([said], relationship([late])))).toEqual([]);
    // What another cluster of the trust domain still says from before does not bring it back; what it says later does.
    const elsewhere = (approval: RelationshipApproval) => payload("RelationshipApproval", "r", approval, { origin: "shop-us" });
    expect(changesBrought(view([elsewhere(early), said], relationship([])))).toEqual([]);
    expect(changesBrought(view([said, elsewhere(late)], relationship([])))).toMatchObject([{ kind: "approval", approval: late }]);
  });

  it("ends what was agreed by an approval that was taken back, though other terms are proposed", () => {
    const agreed = { terms: relationship().spec, approvals: [approvalBy(pay, "callee"), approvalBy(shop, "caller")] };
    const proposed = { ...relationship(), spec: { ...relationship().spec, validUntil: "2028-01-01T00:00:00Z" }, status: { approvals: [], agreed } };
    const withdrawal = { side: "caller", withdrawnAt: "2026-02-01T00:00:00Z" };
    expect(changesBrought(view([payload("RelationshipApproval", "r", withdrawal)], proposed))).toEqual([{ kind: "withdrawal", relationship: "r", withdrawal }]);
  });

  it("records no earlier word over a later one of its side, of whatever terms that is", () => {
    const narrower = { ...relationship().spec, validUntil: "2026-12-01T00:00:00Z" };
    const later = { side: "caller", signature: shop.signed(relationshipSigningInput("r", narrower)), approvedAt: "2026-03-01T00:00:00Z", terms: narrower } as const;
    expect(changesBrought(view([payload("RelationshipApproval", "r", approvalBy(shop, "caller"))], relationship([later])))).toEqual([]);
    const anew = approvalBy(shop, "caller", "2026-04-01T00:00:00Z");
    expect(changesBrought(view([payload("RelationshipApproval", "r", anew)], relationship([later])))).toMatchObject([{ kind: "approval", approval: anew }]);
    // What nobody has signed is nobody's word.
    expect(changesBrought(view([payload("RelationshipApproval", "r", approvalBy(shop, "caller"))], relationship([{ ...later, terms: relationship().spec }])))).toMatchObject([{ kind: "approval" }]);
  });

  it("lets nobody take back what the other side approved", () => {
    const withdrawal = { side: "callee", withdrawnAt: "2026-02-01T00:00:00Z" };
    const both = relationship([approvalBy(shop, "caller"), approvalBy(pay, "callee")]);
    expect(changesBrought(view([payload("RelationshipApproval", "r", withdrawal)], both))).toEqual([]);
  });

  it("takes a newer bundle of the pinned authority, and no older or foreign one, nor one of a domain that never joined", () => {
    expect(changesBrought(view([payload("TrustDomain", "shop.example", shop.resource(2))]))).toMatchObject([{ kind: "trustDomain" }]);
    expect(changesBrought(view([payload("TrustDomain", "shop.example", shop.resource(1))]))).toEqual([]);
    expect(changesBrought(view([payload("TrustDomain", "shop.example", impostor.resource(2))]))).toEqual([]);
    expect(changesBrought({ ...view([payload("TrustDomain", "shop.example", shop.resource(2))]), trustDomain: () => undefined })).toEqual([]);
  });
});

describe("judgeTrustDomain", () => {
  it("pins the first authority and takes only its own newer words", () => {
    expect(judgeTrustDomain(shop.trustDomain, undefined, shop.resource().spec)).toEqual({ kind: "accepted" });
    expect(judgeTrustDomain(shop.trustDomain, shop.resource(2).spec, shop.resource(3).spec)).toEqual({ kind: "accepted" });
    expect(judgeTrustDomain(shop.trustDomain, shop.resource(2).spec, shop.resource(2).spec)).toEqual({ kind: "unchanged" });
    expect(judgeTrustDomain(shop.trustDomain, shop.resource(2).spec, shop.resource(1).spec)).toMatchObject({ reason: expect.stringContaining("olderSequence") });
    expect(judgeTrustDomain(shop.trustDomain, shop.resource().spec, impostor.resource(2).spec)).toMatchObject({ reason: expect.stringContaining("pinned already") });
    expect(judgeTrustDomain(shop.trustDomain, undefined, pay.resource().spec)).toMatchObject({ reason: expect.stringContaining("not one of shop.example") });
    expect(judgeTrustDomain(shop.trustDomain, undefined, { ...shop.resource().spec, bundleSignature: pay.resource().spec.bundleSignature })).toMatchObject({ reason: expect.stringContaining("signature") });
  });
});

describe("ApprovedRelationships", () => {
  it("is active with both signatures over the present form, until its date", () => {
    const approved = new ApprovedRelationships();
    const resources = new Map([shop, pay].map((one) => [one.trustDomain as string, one.resource()]));
    const isActive = (subject: Relationship, at = nowMs): boolean => approved.inForce(subject, (name) => resources.get(name), at) !== undefined;
    const both = relationship([approvalBy(shop, "caller"), approvalBy(pay, "callee")]);
    expect(isActive(both)).toBe(true);
    expect(isActive(both, Date.UTC(2027, 1, 1))).toBe(false);
    expect(isActive(relationship([approvalBy(shop, "caller"), approvalBy(shop, "callee")]))).toBe(false);
    expect(isActive({ ...both, spec: { ...both.spec, callee: { ...both.spec.callee, services: ["core/payments", "core/ledger"] } } })).toBe(false);
    resources.set("shop.example", impostor.resource());
    expect(isActive(both)).toBe(false);
  });
});
