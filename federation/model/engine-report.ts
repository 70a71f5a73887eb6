/** What a plane can do in an etcd beyond its own keys, where there are keys of others: by an ordinary read or write, or by a transaction within a transaction, which old versions judge by nobody's rights. */
export const etcdReaches = ["read", "write", "nested"] as const;
export type EtcdReach = (typeof etcdReaches)[number];

/** What a plane can do on a NATS beyond its own subjects: hear what is sent to others, or say it in their place. */
export const natsReaches = ["hear", "say"] as const;
export type NatsReach = (typeof natsReaches)[number];

/** A member of etcd as a plane sees it by its own certificate. What it does not say is absent. */
export interface EtcdReport {
  readonly kind: "etcd";
  /** `https://host:port`, as the plane is configured. */
  readonly address: string;
  /** Why it did not answer. */
  readonly silent?: string;
  readonly version?: string;
  /** False for one that answers and is cut from its peers: it can neither write nor tell anything new. */
  readonly hasLeader?: boolean;
  /** Its clock less the plane's, to about a second. */
  readonly clockAheadMs?: number;
  readonly database?: { readonly bytes: number; readonly usedBytes: number; readonly quotaBytes?: number };
  /** "NOSPACE" and "CORRUPT", as etcd spells them. */
  readonly alarms?: readonly string[];
  /** Of its log, in the last minute; absent until it is over. */
  readonly syncs?: { readonly count: number; readonly slow: number; readonly writes: number };
  readonly reaches?: readonly EtcdReach[];
}

/** The nats-server that a plane got to by its own certificate. */
export interface NatsReport {
  readonly kind: "nats";
  readonly address: string;
  readonly version: string;
  readonly messageBytesMax: number;
  readonly reaches: readonly NatsReach[];
}

export type EngineReport = EtcdReport | NatsReport;

/** How long what an engine shows in the handshake holds, whoever runs it. */
export interface EngineCertificate {
  readonly engine: EngineReport["kind"];
  /** As the plane is configured. */
  readonly address: string;
  /** Wall-clock ms. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What a plane has seen of its engines last. */
export interface SeenEngines {
  readonly reports: readonly EngineReport[];
  readonly certificates: readonly EngineCertificate[];
}

/** How an engine is looked at, and how often. */
export interface EngineLook {
  readonly everyMs: number;
  /** @throws when it cannot be looked at now: what was seen before is forgotten. */
  readonly look: () => Promise<readonly EngineReport[]>;
}
