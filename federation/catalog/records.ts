import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import type { ProvisioningUse } from "#federation/model/provisioning-token.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { TrafficPolicy } from "#federation/model/resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";

/** A join token at rest: only the hash of its secret. */
export interface JoinTokenRecord {
  readonly id: string;
  /** SHA-256 of the secret's bytes, lower-case hex. */
  readonly secretSha256: string;
  readonly purpose: JoinPurpose;
  /** Wall-clock ms. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A token for many instances at rest: only the hash of its secret, and who used it. */
export interface ProvisioningTokenRecord {
  readonly id: string;
  /** SHA-256 of the secret's bytes, lower-case hex. */
  readonly secretSha256: string;
  readonly purpose: JoinPurpose;
  readonly usesMax: number;
  /** In order of time; one for each key, at most `usesMax`. */
  readonly uses: readonly ProvisioningUse[];
  /** Where its users may come from; none means from everywhere. */
  readonly cidrs: readonly string[];
  /** Wall-clock ms. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly isRevoked: boolean;
}

/** Which tokens for many a plane keeps, so that whoever makes one need not read them. */
export interface ProvisioningIndexRecord {
  /** Each token's end by its id, wall-clock ms. */
  readonly expiresAtMs: Readonly<Record<string, number>>;
  /** When it was last made of the tokens themselves, wall-clock ms. */
  readonly madeAtMs: number;
}

/** An attested document that was used, and for which key. */
export interface AttestationRecord {
  /** Of what was signed, lower-case hex. */
  readonly documentSha256: string;
  /** Of the public key (SPKI), lower-case hex: whoever holds the private half may come with the document again. */
  readonly keySha256: string;
  readonly source: string;
  readonly subject: string;
  /** Where the first use came from. */
  readonly address: string;
  /** Wall-clock ms. */
  readonly usedAtMs: number;
  /** Wall-clock ms; from then on nothing is lost by forgetting it, since the document is too old for another key. */
  readonly rememberUntilMs: number;
}

/** How far the frames of one publisher have been applied. */
export interface AppliedPosition {
  /** Cluster id, or "global". */
  readonly publisher: string;
  readonly epoch: number;
  /** Orders the streams of an epoch. */
  readonly term: number;
  readonly stream: string;
  /** Last applied of the stream; 0 when none yet. */
  readonly seq: number;
  /** Position in the publisher's store as of the last whole comparison; an unknown key of its own at or below it is old news. */
  readonly floorEpoch: number;
  readonly floorRevision: number;
  readonly appliedAtMs: number;
  /** Present once the publisher's store was seen behind what it had told: nothing up to this epoch is applied any more. */
  readonly behindEpoch?: number;
  /** Wall-clock ms; present with `behindEpoch`. */
  readonly behindSinceMs?: number;
  /** Present while objects are held that the publisher offers no longer: it has withdrawn more than is believed without a reason. */
  readonly isHoldingBack?: true;
}

/** A publisher's own signed word of how far its store had come: what it can be shown when it has fallen behind that. */
export interface HeartbeatRecord {
  /** Cluster id, or "global". */
  readonly publisher: string;
  readonly epoch: number;
  readonly term: number;
  readonly stream: string;
  readonly seq: number;
  /** Its number in the stream. */
  readonly beat: number;
  /** Position of the publisher's store. */
  readonly revision: number;
  readonly sentAtMs: number;
  readonly incarnation?: string;
  /** Position up to which the publisher's store had its history for certain. */
  readonly written?: number;
  /** The encoded Heartbeat of frame.proto. */
  readonly heartbeat: Uint8Array;
}

/** One signed object as it was received: kept whole, because its signature is passed on and never made anew. */
export interface ObjectRecord {
  /** Cluster id, or "global". */
  readonly origin: string;
  readonly kind: string;
  /** `namespace/name`, or `name`. */
  readonly key: string;
  readonly epoch: number;
  readonly revision: number;
  /** Trust domains, `cluster:<id>`, or `*`. */
  readonly audience: readonly string[];
  readonly tombstone: boolean;
  /** The encoded SignedObject of frame.proto. */
  readonly signed: Uint8Array;
  readonly appliedAtMs: number;
}

/** That somebody has deleted a resource: what the plane signs so that others need not infer it. */
export interface DeletionRecord {
  readonly kind: string;
  /** `namespace/name`, or `name`. */
  readonly id: string;
  /** Wall-clock ms. */
  readonly deletedAtMs: number;
}

/** Written now and then by a process of a plane, which remembers it outside: a store that holds another was put in its place. */
export interface MarkRecord {
  readonly mark: string;
  /** Wall-clock ms. */
  readonly writtenAtMs: number;
}

/** Characters of a proxy's name at most. */
export const proxyNameMax = 256;

/** A proxy of the cluster that may route by what it was told: it has joined the plane's discovery and not taken its leave. */
export interface ProxyRecord {
  /** As the proxy calls itself. */
  readonly name: string;
  readonly identity: SpiffeId;
  readonly kind: "workload" | "gateway";
  /** Wall-clock ms since which no stream of it has been heard; absent while there is one. */
  readonly silentSinceMs?: number;
}

/** What a plane knows of its own store's life. */
export interface EpochRecord {
  /** Ordered: the next one is above every one ever witnessed. */
  readonly epoch: number;
  readonly startedAtMs: number;
  /** The store was filled from a backup that was made then (wall-clock ms), and nobody has decided about it yet. */
  readonly restoredFromMs?: number;
}

/**
 * Where a resource stood in the store that a backup was made of: its position in the restored store says nothing of what is newer. It counts
 * for as long as both were written last in one transaction, the restore's, and the store's epoch is this one.
 */
export interface RestoredRecord {
  readonly epoch: number;
  readonly revision: number;
}

/** One form of a policy, with the position of its write. */
export interface ToldPolicy {
  readonly policy: TrafficPolicy;
  readonly generation?: Generation;
}

/** What a policy is stopped by: a refusal, a second end of a process, proxies that did not come back from three trials, or that all of those who were told of it left, were lost once or stood still. */
export const stopCauses = ["refused", "ended", "away", "left", "silent"] as const;
export type StopCause = (typeof stopCauses)[number];

/** Nobody has said anything: a policy that is stopped so is tried again by itself. */
export function isFruitless(cause: StopCause): boolean {
  return cause === "left" || cause === "silent";
}

/** What all proxies of a cluster are told of the policy of one service, and the newer form that one of them did not bear. */
export interface PolicyTellingRecord {
  /** Absent: there is none for them. */
  readonly told?: ToldPolicy;
  readonly stopped?: ToldPolicy & {
    readonly proxy: string;
    readonly cause: StopCause;
    /** In words. */
    readonly reason: string;
    /** Wall-clock ms. */
    readonly atMs: number;
  };
}
