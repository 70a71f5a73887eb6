import type { X509Svid } from "#federation/identity/svid.ts";
import type { Snapshot } from "#federation/model/snapshot.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { answersOf, bundlesFor, type WorkloadAnswers } from "./workload-answers.ts";

/** What the answers are made of. */
export interface WorkloadSources {
  /** Undefined while there is no valid one. */
  readonly svid: Watched<X509Svid | undefined>;
  readonly snapshot: Watched<Snapshot>;
}

/** The answers of the moment. An answer whose content has not changed stays the same object, so that nobody is told it twice. */
export class WorkloadState implements Watched<WorkloadAnswers | undefined> {
  readonly #sources: WorkloadSources;
  readonly #answers = new WatchedValue<WorkloadAnswers | undefined>(undefined);
  #seen: { readonly svid: X509Svid | undefined; readonly snapshot: Snapshot } | undefined;
  /** What `#answers` was made of. */
  #bundles: readonly TrustBundle[] = [];
  #svid: X509Svid | undefined;

  constructor(sources: WorkloadSources) {
    this.#sources = sources;
    this.#refresh();
  }

  /** Undefined while there is no valid identity; an SVID that has just ended is none, whether anybody has noticed or not. */
  get current(): WorkloadAnswers | undefined {
    this.#refresh();
    return this.#answers.current;
  }

  changes(signal: AbortSignal): AsyncIterable<WorkloadAnswers | undefined> {
    this.#refresh();
    return this.#answers.changes(signal);
  }

  /** Follows the sources until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const follow = async (source: Watched<unknown>): Promise<void> => {
      for await (const _ of source.changes(signal)) this.#refresh();
    };
    await Promise.all([follow(this.#sources.svid), follow(this.#sources.snapshot)]);
  }

  #refresh(): void {
    const svid = this.#sources.svid.current;
    const snapshot = this.#sources.snapshot.current;
    if (this.#seen?.svid === svid && this.#seen?.snapshot === snapshot) return;
    this.#seen = { svid, snapshot };
    const bundles = svid === undefined ? [] : bundlesFor(snapshot, trustDomainOf(svid.spiffeId));
    // Most snapshots differ in endpoints only: certificates are not read again for those.
    if (svid === this.#svid && sameList(bundles, this.#bundles)) return;
    this.#svid = svid;
    this.#bundles = bundles;
    const next = svid === undefined ? undefined : answersOf(svid, bundles);
    this.#answers.set(next === undefined ? undefined : keepEqual(this.#answers.current, next));
  }
}

function sameList(left: readonly TrustBundle[], right: readonly TrustBundle[]): boolean {
  return left.length === right.length && left.every((bundle, index) => bundle === right[index]);
}

/** `next`, with the parts of `before` that say the same. */
function keepEqual(before: WorkloadAnswers | undefined, next: WorkloadAnswers): WorkloadAnswers {
  if (before === undefined) return next;
  const kept = (left: Uint8Array, right: Uint8Array): Uint8Array => (Buffer.compare(left, right) === 0 ? left : right);
  const svids = kept(before.svids, next.svids);
  const bundles = kept(before.bundles, next.bundles);
  const jwtBundles = kept(before.jwtBundles, next.jwtBundles);
  const isSame = svids === before.svids && bundles === before.bundles && jwtBundles === before.jwtBundles && next.domainsLeftOut === before.domainsLeftOut;
  return isSame ? before : { ...next, svids, bundles, jwtBundles };
}
