import { globalOrigin } from "./replicated-object.ts";

/**
 * The common name in a plane's certificates, for etcd, which knows its users by nothing else. `plane` is a cluster's name, or "global".
 * Whoever is no plane has a common name that no plane can have.
 */
export function planeCommonName(plane: string): string {
  return `atoll-${plane}`;
}

/** What a plane puts before each of its keys in etcd, which other planes may share. Its keys begin with a slash. */
export function planeKeyPrefix(plane: string): string {
  return plane === globalOrigin ? "/atoll/global" : `/atoll/cluster/${plane}`;
}

/**
 * A host name that a plane's certificate bears for an etcd of its own, which lets nobody in whose certificate lacks it. It is never looked up.
 */
export function planeStoreHost(plane: string): string {
  return `${plane}.store.atoll.internal`;
}
