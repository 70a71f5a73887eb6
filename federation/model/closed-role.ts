/**
 * What a cluster's plane does by keys that lie in files: `signer` certifies a trust domain's clusters and approves relationships, `issuing`
 * gives SVIDs to workloads, `signing` says what the cluster exports.
 */
export const keyRoles = ["signer", "issuing", "signing"] as const;
export type KeyRole = (typeof keyRoles)[number];

/** What a plane does not do, because the files of that role's key cannot be used; everything else goes on. */
export interface ClosedRole {
  readonly role: KeyRole;
  /** Names the files, and what is wrong with them. */
  readonly reason: string;
}
