import { describe, expect, it } from "vitest";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Relationship, type RelationshipSide } from "#federation/model/resource.ts";
import type { ObjectPayload } from "#federation/model/replicated-object.ts";
import { isOfferedTo, type OfferContext } from "./offers.ts";

const cluster = (name: string, trustDomain: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: "eu-west" as RegionId, trustDomain: trustDomain as TrustDomainName, exportNamespaces: [], gateways: [] },
});
const shopUs = cluster("shop-us", "shop.example");

const exported = (over: Partial<ObjectPayload>): ObjectPayload => ({
  federation: "demo.atoll",
  origin: "shop-eu",
  originTrustDomain: "shop.example",
  kind: "ServiceExport",
  key: "web/storefront",
  generation: { epoch: 1, revision: 1 },
  audience: ["shop.example"],
  tombstone: false,
  value: new Uint8Array(),
  ...over,
});
const payments = exported({ origin: "pay-eu-1", originTrustDomain: "pay.example", key: "core/payments", audience: ["pay.example", "shop.example"] });

const relationship = (sides: readonly RelationshipSide[]): Relationship => ({
  apiVersion,
  kind: "Relationship",
  metadata: { name: "shop-calls-payments" },
  spec: {
    caller: { trustDomain: "shop.example" as TrustDomainName, authoritySha256: "", principals: ["*"] },
    callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "", services: ["core/payments"] },
    validUntil: "2027-01-01T00:00:00Z",
  },
  status: { approvals: sides.map((side) => ({ side, signature: "x", approvedAt: "2026-01-01T00:00:00Z" })) },
});
const context = (...relationships: Relationship[]): OfferContext => ({
  clusters: new Map([["shop-us", shopUs]]),
  relationships,
  inForce: ({ spec, status }) => (status?.approvals?.length === 2 ? spec : undefined),
});

describe("isOfferedTo", () => {
  it("offers a cluster the exports of its own trust domain, but not its own", () => {
    expect(isOfferedTo(shopUs, exported({}), context())).toBe(true);
    expect(isOfferedTo(shopUs, exported({ origin: "shop-us" }), context())).toBe(false);
  });

  it("keeps to the audience that the exporter named", () => {
    expect(isOfferedTo(shopUs, exported({ audience: ["cluster:shop-ap"] }), context())).toBe(false);
    expect(isOfferedTo(shopUs, exported({ audience: ["cluster:shop-us"] }), context())).toBe(true);
  });

  it("offers a foreign service only under an active relationship that names it", () => {
    expect(isOfferedTo(shopUs, payments, context())).toBe(false);
    expect(isOfferedTo(shopUs, payments, context(relationship(["caller"])))).toBe(false);
    expect(isOfferedTo(shopUs, payments, context(relationship(["caller", "callee"])))).toBe(true);
    expect(isOfferedTo(shopUs, { ...payments, key: "core/ledger" }, context(relationship(["caller", "callee"])))).toBe(false);
    expect(isOfferedTo(cluster("pay-us-1", "pay.example"), exported({ audience: ["shop.example", "pay.example"] }), context(relationship(["caller", "callee"])))).toBe(false);
  });

  it("offers a cluster's JWT authorities to every other one, as the roots of its trust domain are", () => {
    const authorities = exported({ kind: "JwtAuthorities", key: "shop-eu", audience: ["*"] });
    expect(isOfferedTo(shopUs, authorities, context())).toBe(true);
    expect(isOfferedTo(cluster("other", "other.example"), authorities, context())).toBe(true);
    expect(isOfferedTo(shopUs, { ...authorities, origin: "shop-us" }, context())).toBe(false);
  });

  it("tells only those concerned of a relationship", () => {
    const object = exported({ origin: "global", kind: "Relationship", key: "shop-calls-payments" });
    expect(isOfferedTo(shopUs, object, context(relationship([])))).toBe(true);
    expect(isOfferedTo(cluster("other", "other.example"), object, context(relationship([])))).toBe(false);
  });
});
