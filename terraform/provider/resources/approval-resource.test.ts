import { describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CtyObject } from "../cty/values.ts";
import type { ProviderPlanes } from "../planes.ts";
import { approvalResource } from "./approval-resource.ts";

const { signal } = new AbortController();
const state: CtyObject = { relationship: "checkout", trust_domain: "shop.example", generation: 2, id: "checkout/shop.example", approved_at: "2026-11-01T00:00:00.000Z" };

interface Given {
  readonly side: "caller" | "callee";
  readonly approvedAt: string;
}

/** A global plane whose relationship has `approvals`, or that has none; and a signer that stands by its word until it is taken back. */
function planesWith(approvals: readonly Given[] | undefined) {
  const said: string[] = [];
  const get = async (): Promise<unknown> => {
    if (approvals === undefined) throw new AtollError("ATOLL_NOT_FOUND", "there is no Relationship checkout");
    return { metadata: { name: "checkout" }, spec: { caller: { trustDomain: "shop.example" }, callee: { trustDomain: "pay.example" } }, status: { approvals } };
  };
  const call = async ({ operationId }: { readonly operationId: string }): Promise<unknown> => {
    said.push(operationId);
    return { body: { side: "caller", withdrawnAt: "2026-11-02T00:00:00.000Z" } };
  };
  const client = (): AdminClient => ({ get, call }) as unknown as AdminClient;
  const planes: ProviderPlanes = { environment: {}, clusters: [], timeoutMs: 30_000, of: client, signerOf: client };
  return { planes, said };
}

describe("an approval of Terraform's", () => {
  it("is read from the relationship, and is gone where its side has approved no longer", async () => {
    const approvedAt = "2026-11-01T12:00:00.000Z";
    expect(await approvalResource.read(state, planesWith([{ side: "caller", approvedAt }]).planes, signal)).toEqual({ state: { ...state, approved_at: approvedAt }, memory: {} });
    expect(await approvalResource.read(state, planesWith([{ side: "callee", approvedAt }]).planes, signal)).toBeUndefined();
  });

  it("stands though its relationship is gone, and is taken back at its signer", async () => {
    const { planes, said } = planesWith(undefined);
    expect(await approvalResource.read(state, planes, signal)).toEqual({ state, memory: {} });
    await approvalResource.remove(state, {}, planes, signal);
    expect(said).toEqual(["withdrawRelationshipApproval"]);
  });

  it("is not imported of a relationship that is not there", async () => {
    expect(await approvalResource.read(approvalResource.import("checkout/shop.example") ?? {}, planesWith(undefined).planes, signal)).toBeUndefined();
  });
});
