import type { CollectionState } from "#federation/catalog/collection.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { FederatedTrustDomain, FederatedTrustDomainStatus } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import type { Random } from "#federation/runtime/random.ts";
import { passingFaults } from "#federation/runtime/retry.ts";
import { runEach } from "#federation/runtime/run-each.ts";
import { mapWatched, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { acceptFetched } from "./accept-fetched.ts";
import { believedBundle, type ParseBundle } from "./believed-bundle.ts";
import type { FetchBundle, FetchFault, FetchFaultReason } from "./fetch-bundle.ts";
import { refreshAfterMs, retryAfterMs } from "./refresh-times.ts";

export interface FederatedBundlesOptions {
  readonly declared: Watched<CollectionState<FederatedTrustDomain>>;
  /** As `ResourceCollection.setStatus`. */
  readonly setStatus: (name: string, change: (resource: FederatedTrustDomain) => FederatedTrustDomainStatus, signal: AbortSignal) => Promise<unknown>;
  /** Whether a trust domain is of this federation: no endpoint is asked for it. */
  readonly isOwn: (name: TrustDomainName) => boolean;
  readonly fetch: FetchBundle;
  readonly parseBundle: ParseBundle;
  /** Hears how each round over a trust domain's URLs ended. */
  readonly onFetched: (result: "accepted" | "unchanged" | FetchFaultReason) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What is known of the fetches of one trust domain, since this plane leads. Wall-clock ms. */
export interface FetchStanding {
  /** When its endpoint last said what is believed. */
  readonly confirmedAtMs?: number;
  readonly nextFetchMs?: number;
  /** Of the last round; since when there has been none without one. */
  readonly fault?: FetchFault & { readonly sinceMs: number };
}

/** How one round over the URLs ended. */
interface Round {
  readonly fault?: FetchFault;
  readonly refreshHintSeconds: number;
}

type Asked = { readonly kind: "accepted" | "unchanged"; readonly refreshHintSeconds: number } | ({ readonly kind: "fault" } & FetchFault);

/**
 * Fetches the bundles of federated trust domains, each by itself, and stores what is taken beside what was declared: there it lies for a
 * cold start and for the replica that leads next. What cannot be fetched, or is not taken, leaves what is believed as it is.
 */
export class FederatedBundles {
  readonly #options: FederatedBundlesOptions;
  readonly #standings = new Map<string, FetchStanding>();

  constructor(options: FederatedBundlesOptions) {
    this.#options = options;
  }

  standing(name: string): FetchStanding {
    return this.#standings.get(name) ?? {};
  }

  /** Runs while this plane may write. A trust domain whose spec changes is asked for anew at once. */
  async run(signal: AbortSignal): Promise<void> {
    await runEach(
      mapWatched(this.#options.declared, ({ items }) => items),
      {
        lifeOf: ({ value }) => value.metadata.generation,
        run: async (name, _declared, inner) => await this.#follow(name, inner),
        ended: async (name, next) => {
          if (next === undefined) this.#standings.delete(name);
        },
      },
      signal,
    );
  }

  async #follow(name: string, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    let failuresInRow = 0;
    while (!signal.aborted) {
      try {
        const { fault, refreshHintSeconds } = await this.#round(name, signal);
        failuresInRow = fault === undefined ? 0 : failuresInRow + 1;
        const pauseMs = fault === undefined ? refreshAfterMs(refreshHintSeconds, random) : retryAfterMs(failuresInRow, random);
        this.#note(name, fault, clock.nowMs() + pauseMs);
        await sleep(clock, pauseMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
    }
  }

  /** Asks the URLs in turn until one says what can be taken. */
  async #round(name: string, signal: AbortSignal): Promise<Round> {
    const { declared, isOwn, parseBundle, onFetched } = this.#options;
    const resource = declared.current.items.get(name)?.value;
    if (resource === undefined || isOwn(name as TrustDomainName)) return this.#failed([{ reason: "own", message: `${name} is a trust domain of this federation` }]);
    const believed = believedBundle(resource, parseBundle);
    const faults: FetchFault[] = [];
    for (const url of resource.spec.bundleEndpoint.urls) {
      const answer = await this.#ask(resource, url, believed, signal);
      if (answer.kind === "fault") {
        faults.push({ reason: answer.reason, message: `${url}: ${answer.message}` });
        continue;
      }
      onFetched(answer.kind);
      return { refreshHintSeconds: answer.refreshHintSeconds };
    }
    return this.#failed(faults);
  }

  /** What one URL says, stored where it is new. */
  async #ask({ metadata, spec }: FederatedTrustDomain, url: string, believed: TrustBundle | undefined, signal: AbortSignal): Promise<Asked> {
    const trustDomain = metadata.name as TrustDomainName;
    const outcome = await this.#options.fetch({ trustDomain, url, endpoint: spec.bundleEndpoint, believed }, signal);
    if (outcome.kind === "failed") return { ...outcome, kind: "fault" };
    const decision = acceptFetched(believed, outcome.bundle);
    if (decision.kind === "refused") return { ...decision, kind: "fault" };
    const fault = decision.kind === "accepted" ? await this.#store(trustDomain, encodeBundle(outcome.bundle), signal) : undefined;
    return fault === undefined ? { kind: decision.kind, refreshHintSeconds: outcome.bundle.refreshHintSeconds } : { kind: "fault", ...fault };
  }

  /** All that went wrong, under the word of what went wrong first. */
  #failed(faults: readonly FetchFault[]): Round {
    const reason = faults[0]?.reason ?? "unreachable";
    this.#options.onFetched(reason);
    return { fault: { reason, message: faults.map(({ message }) => message).join("; ") }, refreshHintSeconds: 0 };
  }

  /** A store that takes nothing just now is a fault like others: the endpoint is asked again. */
  async #store(name: string, bundle: string, signal: AbortSignal): Promise<FetchFault | undefined> {
    const { setStatus, clock, logger } = this.#options;
    try {
      await setStatus(name, ({ status }) => ({ ...status, fetched: { bundle, acceptedAt: new Date(clock.nowMs()).toISOString() } }), signal);
      logger.info("A federated trust domain has another bundle.", { trustDomain: name });
      return undefined;
    } catch (error) {
      if (signal.aborted || !isAtollError(error, ...passingFaults)) throw error;
      return { reason: "store", message: `its bundle could not be stored: ${describeError(error)}` };
    }
  }

  #note(name: string, fault: FetchFault | undefined, nextFetchMs: number): void {
    const { clock, logger } = this.#options;
    const before = this.standing(name);
    const nowMs = clock.nowMs();
    if (fault === undefined) {
      if (before.fault !== undefined) logger.info("The bundle of a federated trust domain is fetched again.", { trustDomain: name });
      this.#standings.set(name, { confirmedAtMs: nowMs, nextFetchMs });
      return;
    }
    if (before.fault?.message !== fault.message) logger.warn("The bundle of a federated trust domain could not be fetched; what is believed of it goes on.", { trustDomain: name, ...fault });
    this.#standings.set(name, { ...before, nextFetchMs, fault: { ...fault, sinceMs: before.fault?.sinceMs ?? nowMs } });
  }
}
