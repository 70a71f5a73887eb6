import type { Kind } from "#federation/model/resource.ts";

// Every key that Atoll writes lies under one prefix, so that a store may be shared, and one listing is a backup.
const root = "/atoll/v1/";

/** Prefixes of all keys, each ending with a slash; ids follow. No other file knows one. */
export const keys = {
  /** All that a plane keeps. */
  root,
  allResources: `${root}resources/`,
  resources: (kind: Kind): string => `${root}resources/${kind}/`,
  /** The forms that resources had before; after the id the place of each. */
  formerForms: (kind: Kind): string => `${root}former-forms/${kind}/`,
  /** The last form of resources that were deleted. */
  deletedForms: (kind: Kind): string => `${root}deleted-forms/${kind}/`,
  endpoints: `${root}endpoints/`,
  objects: `${root}objects/`,
  heartbeats: `${root}heartbeats/`,
  positions: `${root}positions/`,
  joinTokens: `${root}join-tokens/`,
  provisioningTokens: `${root}provisioning-tokens/`,
  provisioningIndex: `${root}provisioning-index/`,
  attestations: `${root}attestations/`,
  meta: `${root}meta/`,
  /** What a cluster's proxies are told of the policy of each service. */
  policyTellings: `${root}policy-tellings/`,
  /** A cluster's proxies that may route by what they were told. */
  proxies: `${root}proxies/`,
  /** Where resources of a restored backup stood in the store that it was made of, by kind and id. */
  restored: `${root}restored/`,
  /** What somebody has deleted, by kind and id. */
  deletions: `${root}deletions/`,
  /** What each process of a plane has written there last, so that it knows its store again. */
  marks: `${root}marks/`,
  /** Written with each write of a process of the plane, so that its revision is the position of the last one. */
  trails: `${root}trails/`,
  /** Written and deleted again to see whether the store takes writes. */
  writeTrial: `${root}write-trial`,
  /** Held with a lease by the leader among the replicas of a plane; its create revision is the fence of the leader's writes. */
  leader: `${root}leader`,
} as const;

/** What lies under `prefix`, as an operator is told of it: `resources/TrafficPolicy`. */
export function collectionName(prefix: string): string {
  return prefix.replace(root, "").replace(/\/$/, "");
}
