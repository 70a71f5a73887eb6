import type { ClusterStatus } from "#federation/admin-api/status.ts";
import type { KeyRole } from "#federation/model/closed-role.ts";

const withoutIt: Readonly<Record<KeyRole, string>> = {
  signer: "certifies no cluster of its trust domain and approves no relationship",
  issuing: "issues no SVIDs, so that those of its proxies end",
  signing: "publishes nothing, so that the others go by what it said before",
};

/** What a plane does not do for want of a key, and which files to put back; nothing of one that has all of its keys. Pure. */
export function closedRoleProblems(name: string, { identity }: Pick<ClusterStatus, "identity">): readonly string[] {
  return (identity.closedRoles ?? []).map(({ role, reason }) => `the plane of ${name} ${withoutIt[role]}, and does everything else: ${reason}`);
}
