import type { SpiffeId, TrustDomainName } from "./names.ts";
import { createSpiffeId } from "./spiffe-id.ts";

/** The identity that all members of an engine (etcd, nats-server) of one region have in common. */
export function createEngineId(federation: TrustDomainName, engine: string): SpiffeId {
  return createSpiffeId(federation, "atoll", "engine", engine);
}

/**
 * The common name in their certificates, for etcd, which knows its peers by nothing else. That of a plane begins with "atoll-", so that none
 * is ever a peer; one character more, so that the longest label fits into the 64 that X.520 allows.
 */
export function engineCommonName(engine: string): string {
  return `@${engine}`;
}

/** The common name of whoever tells etcd which planes may use it: neither a plane's, nor an engine's. */
export const etcdAdministrator = "etcd-administrator";
