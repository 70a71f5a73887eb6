import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { Scope } from "#federation/admin-api/access.ts";
import { implement, type Operation } from "#federation/admin-api/route.ts";
import { termsDigest } from "#federation/admin-api/terms-digest.ts";
import { standingApprovals } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipApproval, RelationshipSide } from "#federation/model/resource.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import type { SignerRole } from "../credentials/signer-role.ts";
import type { OwnObjects } from "../exports/own-objects.ts";
import { approvalContent, withdrawalContent } from "../exports/trust-domain-content.ts";
import { approvalKind, ownStatement } from "../trust/own-approvals.ts";

export interface ApprovalOperationsOptions {
  readonly self: ClusterSelf;
  /** Present at the plane that holds its trust domain's keys. */
  readonly signer: Pick<SignerRole, "current"> | undefined;
  /** The present form of a relationship, as far as it has reached this cluster. */
  readonly relationship: (name: string) => Relationship | undefined;
  readonly own: OwnObjects;
  readonly clock: Clock;
}

/**
 * Approving relationships for this plane's trust domain, and taking that back. Either is one signed object in the place of the one before
 * it, with a later time than that, whatever the clock says: whoever hears of both knows which one holds.
 */
export function approvalOperations({ self, signer, relationship: known, own, clock }: ApprovalOperationsOptions): readonly Operation[] {
  const scope: Scope = { oneOfTrustDomains: [self.trustDomain], everyNamespace: "all" };
  const ownSigner = (): Pick<SignerRole, "current"> => {
    if (signer === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `this plane is not the signer of ${self.trustDomain}; ask the plane that is`);
    return signer;
  };
  /** The own side's approval as the federation has it: a signer whose store was lost or set back does not know what it has said since. */
  const recorded = (name: string): RelationshipApproval | undefined => {
    const relationship = known(name);
    const side = relationship === undefined ? undefined : sideOf(relationship, self.trustDomain);
    return standingApprovals(relationship?.status).find((approval) => approval.side === side);
  };
  const nextMs = (name: string): number => Math.max(clock.nowMs(), (ownStatement(own.get(approvalKind, name))?.atMs ?? 0) + 1, Date.parse(recorded(name)?.approvedAt ?? "1970-01-01T00:00:00Z") + 1);
  return [
    implement(clusterRoutes.approveRelationship, async ({ params, query, demand }, signal) => {
      demand(scope);
      const by = ownSigner().current();
      const relationship = known(params.name);
      if (relationship === undefined) throw new AtollError("ATOLL_NOT_FOUND", `no Relationship ${params.name} has reached this cluster`);
      const side = sideOf(relationship, self.trustDomain);
      if (side === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `${params.name} is not a relationship of ${self.trustDomain}`);
      expectShown(relationship, query);
      const approval = by.approve(relationship, side, nextMs(params.name));
      await own.put(approvalKind, params.name, approvalContent(relationship, approval), signal);
      return { body: approval, change: { outcome: "done", kind: approvalKind, id: params.name } };
    }),
    implement(clusterRoutes.withdrawApproval, async ({ params, demand }, signal) => {
      demand(scope);
      ownSigner();
      const said = own.get(approvalKind, params.name);
      const statement = ownStatement(said);
      const approval = statement?.kind === "approved" ? statement.approval : recorded(params.name);
      const isSaid = statement?.kind === "withdrawn" && !(approval !== undefined && Date.parse(approval.approvedAt) > statement.atMs);
      if (isSaid) return { body: statement.withdrawal, change: { outcome: "unchanged", kind: approvalKind, id: params.name } };
      if (approval === undefined) throw new AtollError("ATOLL_NOT_FOUND", `${self.trustDomain} has approved no Relationship ${params.name}`);
      const withdrawal = { side: approval.side, withdrawnAt: new Date(nextMs(params.name)).toISOString() };
      await own.put(approvalKind, params.name, withdrawalContent(said?.payload.audience ?? audienceOf(known(params.name)), withdrawal), signal);
      return { body: withdrawal, change: { outcome: "done", kind: approvalKind, id: params.name } };
    }),
  ];
}

/** Whom the word about a relationship is for: both sides. */
function audienceOf(relationship: Relationship | undefined): readonly string[] {
  return relationship === undefined ? [] : [relationship.spec.caller.trustDomain, relationship.spec.callee.trustDomain];
}

/** Nothing is signed for a relationship of others, whoever sent it. */
function sideOf({ spec }: Relationship, trustDomain: string): RelationshipSide | undefined {
  if (spec.caller.trustDomain === trustDomain) return "caller";
  return spec.callee.trustDomain === trustDomain ? "callee" : undefined;
}

/**
 * Whoever names terms by their digest, or a generation, has read that form and consents to no other. An older one here is one that the newer
 * has not reached yet; the same terms in another generation are the same.
 */
function expectShown(relationship: Relationship, { generation, termsSha256 }: { readonly generation?: number; readonly termsSha256?: string }): void {
  const { name, generation: present = 0 } = relationship.metadata;
  if (termsSha256 === undefined ? generation === undefined || generation === present : termsSha256 === termsDigest(relationship)) return;
  if (generation !== undefined && generation > present) throw new AtollError("ATOLL_NOT_FOUND", `generation ${generation} of ${name} has not reached this cluster, which has generation ${present}`);
  if (termsSha256 === undefined) throw new AtollError("ATOLL_STORE_CONFLICT", `${name} is at generation ${present}, and generation ${generation} was to be approved: look at what has changed`);
  throw new AtollError("ATOLL_TERMS_DIFFER", `what ${name} proposes at this plane (generation ${present}, terms ${termsDigest(relationship)}) is not what was shown (terms ${termsSha256}): nothing was signed`);
}
