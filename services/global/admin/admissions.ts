import type { Catalog } from "#federation/catalog/catalog.ts";
import type { Admission } from "#federation/admin-api/resource-routes.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** A cluster stands in a region that exists; one in use is not pulled from under its clusters. */
export function clusterAdmission(catalog: Catalog): Admission<"Cluster"> {
  return {
    async apply(cluster, signal) {
      const region = await catalog.resources("Region").get(cluster.spec.region, signal);
      if (region === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `spec.region: there is no Region ${cluster.spec.region}; apply it first`);
      const present = await catalog.resources("Cluster").get(cluster.metadata.name, signal);
      if (present !== undefined && present.value.spec.trustDomain !== cluster.spec.trustDomain) {
        throw new AtollError("ATOLL_REQUEST_INVALID", `spec.trustDomain: a cluster keeps its trust domain, ${present.value.spec.trustDomain}; delete and join it anew`);
      }
      if (present !== undefined && present.value.spec.region !== cluster.spec.region) {
        throw new AtollError("ATOLL_REQUEST_INVALID", `spec.region: a cluster stays in its region, ${present.value.spec.region}; delete and join it anew`);
      }
    },
  };
}

export function regionAdmission(catalog: Catalog): Admission<"Region"> {
  return {
    async remove(id, signal) {
      const { items } = await catalog.resources("Cluster").list(signal);
      const users = items.filter((item) => item.value.spec.region === id).map((item) => item.id);
      if (users.length > 0) throw new AtollError("ATOLL_REQUEST_INVALID", `Region ${id} holds the clusters ${users.join(", ")}; delete them first`);
    },
  };
}

/** A trust domain speaks for itself: its plane brings it when it joins. An administrator may only take it away. */
export const trustDomainAdmission: Admission<"TrustDomain"> = {
  async apply() {
    throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "a TrustDomain is brought by its own signer when it joins, and changed by it alone");
  },
};

/** A relationship is between two parties; each service and principal of it is named in its own form by the schema. */
export const relationshipAdmission: Admission<"Relationship"> = {
  async apply(relationship) {
    if (relationship.spec.caller.trustDomain === relationship.spec.callee.trustDomain) {
      throw new AtollError("ATOLL_REQUEST_INVALID", "spec.callee.trustDomain: a relationship is between two trust domains; inside one, services see each other by ServiceExport");
    }
  },
};
