import { isDeepStrictEqual } from "node:util";
import type { AdminClient } from "#federation/admin-api/client.ts";
import type { ResourcePath } from "#federation/admin-api/resource-path.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import type { Resource } from "#federation/model/resource.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { requiredText, textOf, type CtyObject } from "../cty/values.ts";
import type { ManagedResource, Private, Remembered } from "../managed.ts";
import type { ProviderPlanes } from "../planes.ts";
import { emptyState, keysOf, toResource, toState } from "./conversion.ts";
import { isOfCluster, resourceSchema, type KindRow } from "./kinds.ts";
import { validateResource } from "./validate.ts";

/** How often a write is tried when only what the server fills has changed since it was read. */
const writeTriesMax = 5;

/** A kind of the model as a resource of Terraform's. */
export function kindResource(row: KindRow): ManagedResource {
  const keys = row.keys.map(({ name }) => name);
  const clusterOf = (value: CtyObject): string | undefined => (isOfCluster(row) ? requiredText(value, "cluster") : undefined);
  const clientOf = (value: CtyObject, planes: ProviderPlanes): AdminClient => planes.of(clusterOf(value));
  const pathOf = (value: CtyObject): ResourcePath => ({ name: requiredText(value, "name"), ...(keys.includes("namespace") ? { namespace: requiredText(value, "namespace") } : {}) });
  const parse = (value: CtyObject): Resource => resourceSchemas[row.kind].parse(toResource(row, value));
  const find = async (value: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<Resource | undefined> => {
    try {
      return await clientOf(value, planes).get(row.kind, pathOf(value), signal);
    } catch (error) {
      if (isAtollError(error, "ATOLL_NOT_FOUND")) return undefined;
      throw error;
    }
  };
  const remember = (resource: Resource, written: CtyObject): Remembered => ({ state: toState(row, resource, { cluster: clusterOf(written), written }), memory: memoryOf(resource) });

  return {
    schema: resourceSchema(row),
    replace: [...keys, ...(row.replace ?? [])],
    changing: ["generation"],
    idForm: keys.join("/"),
    validate: (config) => validateResource(row, config),

    async create(planned, planes, signal) {
      const wanted = parse(planned);
      try {
        return remember((await clientOf(planned, planes).apply(wanted, { ifRevision: 0 }, signal)).resource, planned);
      } catch (error) {
        if (!isAtollError(error, "ATOLL_STORE_CONFLICT")) throw error;
      }
      // One that is exactly what is wanted was made by an apply that ended before it could say so.
      const present = await find(planned, planes, signal);
      if (present !== undefined && isSame(row, present, wanted)) return remember(present, planned);
      throw new AtollError("ATOLL_STORE_CONFLICT", `there is a ${row.kind} ${idFormOf(keys, planned)} already, and it is another one: import it (terraform import ADDRESS ${idFormOf(keys, planned)}), or choose another name`);
    },

    async update({ prior, planned, memory }, planes, signal) {
      const wanted = parse(planned);
      let { revision } = memory;
      for (let tries = 1; ; tries++) {
        try {
          const written = await clientOf(planned, planes).apply(wanted, revision === undefined ? {} : { ifRevision: revision }, signal);
          return remember(written.resource, planned);
        } catch (error) {
          if (!isAtollError(error, "ATOLL_STORE_CONFLICT") || tries >= writeTriesMax) throw error;
          const present = await find(planned, planes, signal);
          if (present === undefined || !isSame(row, present, parse(prior))) {
            throw new AtollError("ATOLL_STORE_CONFLICT", `the ${row.kind} ${idFormOf(keys, planned)} was changed by somebody else since it was read: plan again to see what it is now`, { cause: error });
          }
          // Only its status has moved on.
          revision = present.metadata.revision;
        }
      }
    },

    async remove(prior, _memory, planes, signal) {
      try {
        await clientOf(prior, planes).remove(row.kind, pathOf(prior), {}, signal);
      } catch (error) {
        if (!isAtollError(error, "ATOLL_NOT_FOUND")) throw error;
      }
    },

    async read(state, planes, signal) {
      const found = await find(state, planes, signal);
      return found === undefined ? undefined : remember(found, state);
    },

    import(id) {
      const found = keysOf(row, id);
      return found === undefined ? undefined : emptyState(row, found);
    },
  };
}

function memoryOf({ metadata }: Resource): Private {
  return metadata.revision === undefined ? {} : { revision: metadata.revision };
}

/** What a user writes of two resources of one kind and name is the same. */
function isSame(row: KindRow, one: Resource, other: Resource): boolean {
  const plain = (resource: Resource): unknown => {
    const state = toState(row, resource, { cluster: undefined, written: undefined });
    return Object.fromEntries([...row.labels, ...row.spec].map(({ name }) => [name, state[name]]));
  };
  return isDeepStrictEqual(plain(one), plain(other));
}

function idFormOf(keys: readonly string[], value: CtyObject): string {
  return keys.map((name) => textOf(value[name]) ?? "").join("/");
}
