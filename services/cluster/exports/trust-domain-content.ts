import type { TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import { apiVersion, type Relationship, type RelationshipApproval, type RelationshipWithdrawal, type TrustDomain } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { everyone } from "#federation/model/replicated-object.ts";
import type { OwnContent } from "./own-objects.ts";

/** What the signer's plane says of its trust domain. The bundle decides whether it says something new: signatures differ each time. */
export function trustDomainContent(statement: TrustDomainStatement, trustDomain: TrustDomainName): OwnContent {
  const resource: TrustDomain = { apiVersion, kind: "TrustDomain", metadata: { name: trustDomain }, spec: statement };
  return {
    fingerprint: statement.authorityCertificatePem + statement.bundle,
    audience: [everyone],
    encode: () => Buffer.from(JSON.stringify(resource)),
  };
}

/** A side's approval of a relationship, on its way to the global plane. */
export function approvalContent(relationship: Relationship, approval: RelationshipApproval): OwnContent {
  return {
    fingerprint: approval.signature,
    audience: [relationship.spec.caller.trustDomain, relationship.spec.callee.trustDomain],
    encode: () => Buffer.from(JSON.stringify(approval)),
  };
}

/** A side's word that it has taken its approval back, in the place of the approval; for those who were to have that. */
export function withdrawalContent(audience: readonly string[], withdrawal: RelationshipWithdrawal): OwnContent {
  return {
    fingerprint: `withdrawn ${withdrawal.withdrawnAt}`,
    audience,
    encode: () => Buffer.from(JSON.stringify(withdrawal)),
  };
}
