import type { Mutant } from "./mutant.ts";

const imports = "services/cluster/replicated/visible-imports.ts";
const view = "services/cluster/replicated/replicated-view.ts";
const links = "services/global/relay/cluster-links.ts";
const offers = "services/global/relay/offers.ts";

/** Bugs in who is told what, and sees what. */
export const visibilityMutants: readonly Mutant[] = [
  { name: "an import outlives its export", file: imports, find: "if (gone !== undefined && (received === undefined || idOf(gone) !== idOf(received)))", replace: "if (false && gone !== undefined)" },
  { name: "a cluster keeps what was withdrawn before its eyes", file: view, find: "for (const id of piece.deletes) next = without(next, id);", replace: "" },
  { name: "an offer does not follow relationships", file: links, find: "return [this.#options.clusters.current.get(id), ...relationships, ...relationships.map(inForce)];", replace: "return [this.#options.clusters.current.get(id), relationships.length, inForce];" },
  {
    name: "an approval of another form is taken for that of the present one",
    file: "services/global/trust/approved-relationships.ts",
    find: "return trustDomain !== undefined && isApprovalGenuine(relationship.metadata.name, { terms, approval }, trustDomain);",
    replace: "return trustDomain !== undefined && isApprovalGenuine !== undefined;",
    also: [{ file: "federation/catalog/resource-collection.ts", find: "const status = carriedStatus(previous, next.spec);", replace: "const { status } = previous;" }],
  },
  { name: "a cluster does not know itself by its trust domain", file: "services/cluster/cluster-plane.ts", find: "audienceNames: [trustDomain, `cluster:${cluster}`],", replace: "audienceNames: [`cluster:${cluster}`]," },
  { name: "the brake holds rights and the few", file: "services/cluster/trust/received-rules.ts", find: 'rightsKinds: ["TrustDomain", "Relationship"], freeMax: unsignedWithdrawalsMax', replace: "rightsKinds: [], freeMax: 0" },
  {
    name: "an export is told to, believed by and seen by whoever is not meant",
    file: offers,
    find: "if (!isInAudience(object.audience, [own, `cluster:${cluster.metadata.name}`])) return false;",
    replace: "",
    also: [
      { file: offers, find: "return object.originTrustDomain === own || isRelated(own, object.originTrustDomain, object.key, context);", replace: "return isRelated !== undefined;" },
      { file: "federation/replication/core/object-admission.ts", find: "if (audienceNames !== undefined && !isInAudience(payload.audience, audienceNames)) return", replace: "if (false) return" },
      { file: imports, find: "if (trustDomain === self.trustDomain) return true;", replace: "return true;" },
    ],
  },
];
