import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { relationshipApprovalSchema, relationshipWithdrawalSchema } from "#federation/model/parse/resource-schemas.ts";
import type { RelationshipApproval, RelationshipWithdrawal } from "#federation/model/resource.ts";
import { entriesWithPrefix } from "#federation/runtime/ordered-map.ts";
import type { OwnPublication } from "../exports/own-objects.ts";

/** The kind of the objects by which a signer approves relationships, and takes that back; their key is the relationship's name. */
export const approvalKind = "RelationshipApproval";

/** What a signer has said of a relationship last, and when. */
export type OwnStatement =
  | { readonly kind: "approved"; readonly approval: RelationshipApproval; readonly atMs: number }
  | { readonly kind: "withdrawn"; readonly withdrawal: RelationshipWithdrawal; readonly atMs: number };

/** Reads an object of `approvalKind`; undefined where nothing is said, or what an unknown version said. Pure. */
export function ownStatement(object: OpenedObject | undefined): OwnStatement | undefined {
  if (object === undefined || object.payload.kind !== approvalKind || object.payload.tombstone) return undefined;
  const value: unknown = JSON.parse(Buffer.from(object.payload.value).toString("utf8"));
  const approval = relationshipApprovalSchema.safeParse(value);
  if (approval.success) return { kind: "approved", approval: approval.data, atMs: Date.parse(approval.data.approvedAt) };
  const withdrawal = relationshipWithdrawalSchema.safeParse(value);
  return withdrawal.success ? { kind: "withdrawn", withdrawal: withdrawal.data, atMs: Date.parse(withdrawal.data.withdrawnAt) } : undefined;
}

/** The relationships whose approval this plane, that of `cluster`, has taken back, by name. Pure, O(its approvals). */
export function withdrawnRelationships({ objects }: Pick<OwnPublication, "objects">, cluster: string): ReadonlySet<string> {
  const own = Array.from(entriesWithPrefix(objects, objectId({ origin: cluster, kind: approvalKind, key: "" })), ([, object]) => object);
  return new Set(own.filter((object) => ownStatement(object)?.kind === "withdrawn").map(({ payload }) => payload.key));
}
