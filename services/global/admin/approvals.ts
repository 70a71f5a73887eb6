import type { Catalog } from "#federation/catalog/catalog.ts";
import type { Relationship, RelationshipApproval } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { isApprovalGenuine } from "../trust/authority-signature.ts";

/**
 * Records a side's approval when its authority signed exactly the present spec. Clusters check the signature again by
 * themselves; checking it here gives whoever sends it the answer at once.
 * @throws {ATOLL_NOT_FOUND | ATOLL_REQUEST_INVALID}
 */
export async function recordApproval(catalog: Catalog, name: string, approval: RelationshipApproval, signal: AbortSignal): Promise<Relationship> {
  const stored = await catalog.resources("Relationship").get(name, signal);
  if (stored === undefined) throw new AtollError("ATOLL_NOT_FOUND", `there is no Relationship ${name}`);
  const party = stored.value.spec[approval.side];
  const trustDomain = await catalog.resources("TrustDomain").get(party.trustDomain, signal);
  if (trustDomain === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `the trust domain ${party.trustDomain} has not joined yet`);
  if (!isApprovalGenuine(stored.value, approval, trustDomain.value)) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `the signature is not one of the authority of ${party.trustDomain} over the present form of ${name}`);
  }
  const updated = await catalog.resources("Relationship").setStatus(
    name,
    ({ status }) => ({
      ...status,
      approvals: [...(status?.approvals ?? []).filter((other) => other.side !== approval.side), approval].toSorted((a, b) => (a.side < b.side ? -1 : 1)),
    }),
    signal,
  );
  if (updated === undefined) throw new AtollError("ATOLL_NOT_FOUND", `the Relationship ${name} was deleted meanwhile`);
  return updated;
}
