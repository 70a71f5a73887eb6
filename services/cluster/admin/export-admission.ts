import type { Admission } from "#federation/admin-api/resource-routes.ts";
import { clusterExportsMax } from "#federation/model/cluster-limits.ts";
import { resourceId } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Refuses an export that the global plane would not keep, since nobody would ever hear of it. `present` holds those that there are, by id. */
export function exportAdmission(present: () => Pick<ReadonlyMap<string, unknown>, "size" | "has">): Admission<"ServiceExport"> {
  return {
    async apply(resource) {
      const exports = present();
      if (exports.size < clusterExportsMax || exports.has(resourceId(resource.metadata))) return;
      throw new AtollError("ATOLL_STORE_FULL", `this cluster exports ${exports.size} services, and ${clusterExportsMax} are allowed: delete ServiceExports that nobody needs, or export from another cluster`);
    },
  };
}
