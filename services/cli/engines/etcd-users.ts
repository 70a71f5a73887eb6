import { planeCommonName, planeKeyPrefix } from "#federation/model/plane-store.ts";

/** A user of etcd with a role of the same name: the common name of a plane's certificate, and the one range of keys that the plane may read and write. */
export interface EtcdUser {
  readonly name: string;
  /** First key of the range. */
  readonly key: Buffer;
  /** The first key behind it. */
  readonly rangeEnd: Buffer;
}

/** One etcd, and whose stores are in it. */
export interface EtcdTenants {
  /** `https://host:port` of each member, sorted. */
  readonly endpoints: readonly string[];
  /** Names of clusters, and "global". */
  readonly planes: readonly string[];
}

/** What begins the names of users and roles that are ours to remove. */
export const etcdUserPrefix = planeCommonName("");

/** The user that a plane is to etcd. Pure. */
export function etcdUser(plane: string): EtcdUser {
  const prefix = planeKeyPrefix(plane);
  // "0" follows "/": a cluster whose name another's begins with shares nothing with it.
  return { name: planeCommonName(plane), key: Buffer.from(`${prefix}/`), rangeEnd: Buffer.from(`${prefix}0`) };
}

/** Which planes are in which etcd, read from the planes' own configurations; those on SQLite are in none. Pure. */
export function etcdTenants(configs: readonly Readonly<Record<string, unknown>>[]): readonly EtcdTenants[] {
  const found = new Map<string, { readonly endpoints: readonly string[]; readonly planes: string[] }>();
  for (const { cluster, store } of configs) {
    const { kind, endpoints } = (store ?? {}) as { readonly kind?: string; readonly endpoints?: readonly string[] };
    if (kind !== "etcd" || endpoints === undefined) continue;
    const sorted = [...endpoints].sort();
    const known = found.get(sorted.join(" ")) ?? { endpoints: sorted, planes: [] };
    known.planes.push(typeof cluster === "string" ? cluster : "global");
    found.set(sorted.join(" "), known);
  }
  return [...found.values()];
}
