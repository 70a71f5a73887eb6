import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Operation } from "#federation/admin-api/route.ts";
import { termsDigest } from "#federation/admin-api/terms-digest.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { apiVersion, type Relationship, type RelationshipApproval, type RelationshipWithdrawal } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import { openTestCatalog, type TestCatalog } from "../catalog-fixture.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import { TrustDomainSigner } from "../credentials/signer.ts";
import { OwnObjects } from "../exports/own-objects.ts";
import { withdrawnRelationships } from "../trust/own-approvals.ts";
import { approvalOperations } from "./approval-operations.ts";

const { signal } = new AbortController();
const { self } = clusterState();
const name = "checkout";

function newSigner(): ObjectSigner {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, chain: [new Uint8Array(publicKey.export({ type: "spki", format: "der" }))] };
}

const relationship = (approvals: readonly RelationshipApproval[] = []): Relationship => ({
  apiVersion,
  kind: "Relationship",
  metadata: { name, generation: 2 },
  spec: {
    caller: { trustDomain: self.trustDomain, authoritySha256: "ab".repeat(32), principals: ["*"] },
    callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "cd".repeat(32), services: ["core/payments"] },
    validUntil: "2099-01-01T00:00:00Z",
  },
  status: { approvals },
});

describe("approving, and taking that back", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-approvals-"));
  const clock = new VirtualClock();
  let test: TestCatalog;
  let own: OwnObjects;
  let known: Relationship | undefined;

  const open = (): Promise<OwnObjects> => OwnObjects.open({ self, epoch: 1, catalog: test.catalog, signer: newSigner, clock, mayWrite: true }, signal);
  const call = async <T>(route: { readonly operationId: string }, query: object = {}): Promise<T> => {
    const signer = TrustDomainSigner.open(self.trustDomain, directory, clock.nowMs());
    const operation = approvalOperations({ self, signer: { current: () => signer }, relationship: (asked) => (asked === name ? known : undefined), own, clock }).find((one) => one.route.operationId === route.operationId);
    const { body } = await (operation as Operation & { handle: (request: object, inner: AbortSignal) => Promise<{ readonly body: unknown }> }).handle({ params: { name }, query, demand: () => {} }, signal);
    return body as T;
  };
  const approve = (generation?: number): Promise<RelationshipApproval> => call(clusterRoutes.approveRelationship, generation === undefined ? {} : { generation });
  const withdraw = (): Promise<RelationshipWithdrawal> => call(clusterRoutes.withdrawApproval);

  beforeEach(async () => {
    test = await openTestCatalog();
    own = await open();
    known = relationship();
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  it("say each word later than the one before it, in the same moment too, and hold to it over a restart", async () => {
    const first = await approve(2);
    const withdrawal = await withdraw();
    expect(Date.parse(withdrawal.withdrawnAt)).toBeGreaterThan(Date.parse(first.approvedAt));
    expect(await withdraw()).toEqual(withdrawal);
    expect([...withdrawnRelationships(own.publication.current, self.cluster)]).toEqual([name]);
    own = await open();
    expect([...withdrawnRelationships(own.publication.current, self.cluster)]).toEqual([name]);
    expect(await withdraw()).toEqual(withdrawal);
    const again = await approve();
    expect(Date.parse(again.approvedAt)).toBeGreaterThan(Date.parse(withdrawal.withdrawnAt));
    expect([...withdrawnRelationships(own.publication.current, self.cluster)]).toEqual([]);
  });

  it("take back what the federation has recorded, also where the signer's store knows nothing of it, or less", async () => {
    await expect(withdraw()).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    const recorded = { side: "caller", signature: "x".repeat(86), approvedAt: new Date(clock.nowMs() + 60_000).toISOString() } as const;
    known = relationship([recorded]);
    const first = await withdraw();
    expect([first.side, Date.parse(first.withdrawnAt)]).toEqual(["caller", Date.parse(recorded.approvedAt) + 1]);
    expect(own.get("RelationshipApproval", name)?.payload.audience).toEqual([self.trustDomain, "pay.example"]);
    // The store was set back to this word, and what was approved afterwards is recorded elsewhere.
    known = relationship([{ ...recorded, approvedAt: new Date(Date.parse(first.withdrawnAt) + 5_000).toISOString() }]);
    expect(Date.parse((await withdraw()).withdrawnAt)).toBe(Date.parse(first.withdrawnAt) + 5_001);
    // The other side's is nobody's here.
    known = relationship([{ ...recorded, side: "callee" }]);
    expect(await withdraw()).toMatchObject({ side: "caller" });
  });

  it("sign what was shown, in whatever generation, and nothing else", async () => {
    const shown = termsDigest(relationship());
    expect(await call(clusterRoutes.approveRelationship, { termsSha256: shown, generation: 9 })).toMatchObject({ side: "caller" });
    const wider = { ...relationship(), spec: { ...relationship().spec, validUntil: "2099-01-02T00:00:00Z" } };
    known = wider;
    await expect(call(clusterRoutes.approveRelationship, { termsSha256: shown })).rejects.toMatchObject({ code: "ATOLL_TERMS_DIFFER", message: expect.stringContaining(termsDigest(wider)) });
    await expect(call(clusterRoutes.approveRelationship, { termsSha256: shown, generation: 1 })).rejects.toMatchObject({ code: "ATOLL_TERMS_DIFFER" });
    await expect(call(clusterRoutes.approveRelationship, { termsSha256: shown, generation: 3 })).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
  });

  it("take back what was agreed by them, though other terms are proposed that nobody has approved", async () => {
    const given = { side: "caller", signature: "x".repeat(86), approvedAt: new Date(clock.nowMs() + 60_000).toISOString() } as const;
    known = { ...relationship(), status: { approvals: [], agreed: { terms: relationship().spec, approvals: [given, { ...given, side: "callee" }] } } };
    expect(Date.parse((await withdraw()).withdrawnAt)).toBe(Date.parse(given.approvedAt) + 1);
  });

  it("sign no other generation than the one that was asked for", async () => {
    await expect(approve(1)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    await expect(approve(3)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    expect(own.get("RelationshipApproval", name)).toBeUndefined();
  });
});
