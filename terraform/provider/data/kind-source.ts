import { requiredText, textOf } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";
import { toState } from "../resources/conversion.ts";
import { dataSourceSchema, isOfCluster, type KindRow } from "../resources/kinds.ts";

/** A kind of the model as a data source: the resource of that name, as the server has it. */
export function kindSource(row: KindRow): ReadSource {
  return {
    schema: dataSourceSchema(row),
    async read(config, planes, signal) {
      const cluster = isOfCluster(row) ? requiredText(config, "cluster") : undefined;
      const namespace = textOf(config["namespace"]);
      const resource = await planes.of(cluster).get(row.kind, { name: requiredText(config, "name"), ...(namespace === undefined ? {} : { namespace }) }, signal);
      return toState(row, resource, { cluster, written: undefined });
    },
  };
}
