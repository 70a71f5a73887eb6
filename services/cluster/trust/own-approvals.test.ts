import { expect, it } from "vitest";
import { objectId, type ObjectPayload, type OpenedObject } from "#federation/model/replicated-object.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { approvalKind, withdrawnRelationships } from "./own-approvals.ts";

const origin = "shop-eu";
const withdrawal = { side: "caller", withdrawnAt: "2026-01-01T00:00:00.000Z" };

function objectOf(kind: string, key: string, value: unknown): readonly [string, OpenedObject] {
  const payload: ObjectPayload = { federation: "small.atoll", origin, originTrustDomain: "shop.example", kind, key, generation: { epoch: 1, revision: 1 }, audience: [], tombstone: false, value: Buffer.from(JSON.stringify(value)) };
  return [objectId(payload), { signed: { payload: new Uint8Array(), signature: new Uint8Array(), chain: [] }, payload }];
}

/** What nobody has a reason to look at. */
function unread(kind: string, key: string): readonly [string, OpenedObject] {
  const [id] = objectOf(kind, key, {});
  return [id, new Proxy({} as OpenedObject, { get: () => expect.unreachable(`${id} was looked at`) })];
}

it("are found among the approvals alone, however much else a cluster says", () => {
  const others = ["ServiceExport", "TrustDomain", "RelationshipApprovals"].map((kind) => unread(kind, "web/front"));
  const objects = OrderedMap.of([...others, objectOf(approvalKind, "shop-pay", withdrawal), objectOf(approvalKind, "shop-log", { unknown: true })]);
  expect([...withdrawnRelationships({ objects }, origin)]).toEqual(["shop-pay"]);
  expect([...withdrawnRelationships({ objects }, "shop-us")]).toEqual([]);
});
