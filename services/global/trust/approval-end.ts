import type { RelationshipApproval, RelationshipWithdrawal } from "#federation/model/resource.ts";

/** True when `withdrawal` ends `approval`: it was said by the same side, and not before it. Pure. */
export function isEnded(approval: RelationshipApproval, withdrawal: RelationshipWithdrawal | undefined): boolean {
  return withdrawal !== undefined && withdrawal.side === approval.side && Date.parse(approval.approvedAt) <= Date.parse(withdrawal.withdrawnAt);
}
