import type { TrustDomainName } from "#federation/model/names.ts";
import type { Cluster } from "#federation/model/resource.ts";
import { jwtAuthoritiesMax, type JwtAuthority } from "#federation/model/trust-bundle.ts";
import type { ReplicatedState } from "../replicated/replicated-view.ts";
import type { ClusterSelf } from "../cluster-state.ts";

/** What the authorities are joined of. */
export interface JoinedFrom {
  readonly jwtAuthorities: ReplicatedState["jwtAuthorities"];
  readonly clusters: ReadonlyMap<string, Cluster>;
}

const none: readonly JwtAuthority[] = [];

/** The JWT authorities of all clusters of a trust domain, as one list for each; made anew only when what they were made of has changed, or one of them has ended. */
export class JoinedJwtAuthorities {
  readonly #self: ClusterSelf;
  #from: JoinedFrom | undefined;
  #byDomain = new Map<string, readonly JwtAuthority[]>();
  #endsAtMs = Number.POSITIVE_INFINITY;
  #leftOut = 0;

  constructor(self: ClusterSelf) {
    this.#self = self;
  }

  /** Authorities beyond `jwtAuthoritiesMax` of their trust domain: what they sign is not believed here. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Takes over what clusters say now. O(all authorities) where something is to be made anew. */
  next(from: JoinedFrom, nowMs: number): void {
    if (this.#from?.jwtAuthorities === from.jwtAuthorities && this.#from.clusters === from.clusters && !this.isOver(nowMs)) return;
    this.#from = from;
    this.#endsAtMs = Number.POSITIVE_INFINITY;
    const found = new Map<string, Map<string, JwtAuthority>>();
    this.#leftOut = 0;
    for (const [cluster, { trustDomain, authorities }] of from.jwtAuthorities) {
      if (!this.#isOf(trustDomain, cluster, from.clusters)) continue;
      const joined = found.get(trustDomain) ?? new Map<string, JwtAuthority>();
      found.set(trustDomain, joined);
      for (const { keyId, publicKey, untilMs = Number.POSITIVE_INFINITY } of authorities) {
        if (untilMs <= nowMs || joined.has(keyId)) continue;
        if (joined.size >= jwtAuthoritiesMax) this.#leftOut++;
        else joined.set(keyId, { keyId, publicKey });
        this.#endsAtMs = Math.min(this.#endsAtMs, untilMs);
      }
    }
    this.#byDomain = new Map(Array.from(found, ([trustDomain, joined]) => [trustDomain, [...joined.values()]]));
  }

  /** True when one has ended since they were joined. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#endsAtMs;
  }

  of(trustDomain: TrustDomainName): readonly JwtAuthority[] {
    return this.#byDomain.get(trustDomain) ?? none;
  }

  /** A cluster that was deleted, or belongs elsewhere now, speaks for nobody, whatever is held of it still. */
  #isOf(trustDomain: string, cluster: string, clusters: JoinedFrom["clusters"]): boolean {
    if (cluster === this.#self.cluster) return trustDomain === this.#self.trustDomain;
    return clusters.get(cluster)?.spec.trustDomain === trustDomain;
  }
}
