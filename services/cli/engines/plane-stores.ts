import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readConfigFile, type Field } from "#federation/runtime/config.ts";
import { storeField, type StoreConfig } from "#federation/runtime/engine-config.ts";
import { isLabel } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Whose store is where, of what stands in a plane's configuration. */
export type PlaneStore = Readonly<{
  /** Absent: it is the global plane's. */
  cluster?: string;
  store?: StoreConfig;
}>;

/** Its program judges the rest of the file. */
const planeStoreField: Field<PlaneStore> = {
  read(value, path, faults) {
    const { cluster, store } = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
    if (cluster !== undefined && !(typeof cluster === "string" && isLabel(cluster))) faults.push({ path: "cluster", message: "expected a lower-case DNS label" });
    const read = store === undefined ? undefined : storeField.read(store, "store", faults);
    return { ...(typeof cluster === "string" ? { cluster } : {}), ...(typeof read === "object" ? { store: read } : {}) };
  },
};

/**
 * What the planes whose configurations are the JSON files in `directory` say of their stores.
 * @throws {ATOLL_USAGE} when there is no such file; {ATOLL_CONFIG_INVALID} with the faults of one.
 */
export function readPlaneStores(directory: string): readonly PlaneStore[] {
  const names = jsonFilesIn(directory);
  if (names.length === 0) throw new AtollError("ATOLL_USAGE", `${directory} holds no plane's configuration: NAME.json, a file for each plane`);
  return names.map((name) => readConfigFile(join(directory, name), planeStoreField));
}

function jsonFilesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith(".json")).sort();
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `${directory} cannot be read`, { cause });
  }
}
