import { isAtollError } from "#federation/runtime/errors.ts";
import { requiredText, textOf } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";
import { emptyState, toState } from "../resources/conversion.ts";
import { dataSourceSchema, isOfCluster, type KindRow } from "../resources/kinds.ts";

/** A kind of the model as a data source: the resource of that name, as the server has it. */
export function kindSource(row: KindRow): ReadSource {
  return {
    schema: dataSourceSchema(row),
    async read(config, planes, signal) {
      const cluster = isOfCluster(row) ? requiredText(config, "cluster") : undefined;
      const namespace = textOf(config["namespace"]);
      const may_be_missing = config["may_be_missing"] ?? null;
      try {
        const resource = await planes.of(cluster).get(row.kind, { name: requiredText(config, "name"), ...(namespace === undefined ? {} : { namespace }) }, signal);
        return { ...toState(row, resource, { cluster, written: undefined }), may_be_missing };
      } catch (error) {
        if (may_be_missing !== true || !isAtollError(error, "ATOLL_NOT_FOUND")) throw error;
        const keys = Object.fromEntries(row.keys.map(({ name }) => [name, config[name] ?? null]));
        return { ...emptyState(row, keys), id: null, may_be_missing };
      }
    },
  };
}
