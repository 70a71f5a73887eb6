import type { JoinAttest } from "#federation/identity/attest/evidence-config.ts";
import { openVoucher, type JoinSource } from "#federation/identity/join-voucher.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { SvidSource, type SvidEvent } from "#federation/identity/svid-source.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { createDnsLookup, type DnsLookupOptions, type NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { isAbort, runTasks } from "#federation/runtime/lifecycle.ts";
import { writeReadyFile, type ReadyPorts } from "#federation/runtime/process.ts";
import type { Random } from "#federation/runtime/random.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { processName } from "#federation/wire/discovery-presence.ts";
import { reportTextMax } from "#federation/wire/workload-messages.ts";
import { createDiscoveryStats, runDiscovery, type Subscription } from "./discovery-client.ts";
import { IdentityStore } from "./identity-store.ts";
import { isRefusal, joinPlane, returnToPlane, type Joined, type JoinOptions } from "./join-plane.ts";
import { KeptWrite } from "#federation/runtime/kept-write.ts";
import { LastKnownGood } from "./last-known-good.ts";
import { PlaneConnection } from "./plane-connection.ts";
import type { Plane } from "./plane-link.ts";
import { renewByCertificate, renewByKey, type Renewed } from "./renew-identity.ts";
import { emptyHeldState, SnapshotBuilder } from "./snapshot-builder.ts";

/** What the process is made of everywhere. */
export interface ProcessParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface ControlLinkOptions extends ProcessParts {
  readonly name: string;
  readonly dataDir: string;
  readonly joinTokenFile: string;
  readonly joinAttest?: JoinAttest;
  readonly keys: "disk" | "memory";
  readonly discovery?: readonly string[];
  /** Who is asked for the names of planes. */
  readonly dns?: DnsLookupOptions;
  readonly region: string;
  readonly zone?: string;
}

/** Where the present snapshot came from. */
export type SnapshotSource = "none" | "disk" | "plane";

/** Changes within so long are written together. */
const saveIntervalMs = 1_000;

/**
 * Everything that ties a proxy to its cluster's plane: identity and its renewal, discovery, and what is kept of both on
 * disk. It opens from disk alone; `run` does the rest in the background, and nothing that serves waits for it.
 */
export class ControlLink {
  readonly svid: SvidSource;
  readonly builder: SnapshotBuilder;
  readonly discovery = createDiscoveryStats();
  readonly identityEvents = { renewals: 0, failures: 0 };
  /** Undefined until joined. */
  readonly plane: WatchedValue<Plane | undefined>;
  readonly source: WatchedValue<SnapshotSource>;
  /** Set when the plane refused our token, which no other try mends, and there is nothing to serve by: the process cannot become useful. */
  readonly refusal = new WatchedValue<unknown>(undefined);
  readonly #options: ControlLinkOptions;
  /** This life's, of which there is one in a process. */
  readonly #process: string;
  readonly #lookup: NameLookup;
  readonly #identity: IdentityStore;
  readonly #keptReady: KeptWrite<ReadyPorts>;
  readonly #keptSvid: KeptWrite<X509Svid>;
  readonly #lastKnownGood: LastKnownGood;
  /** Shared: never close its client. */
  readonly connection: PlaneConnection;
  /** From disk, where whose plane it is of could not be read. Nothing is served by it; it proves who asks. */
  readonly #stray: X509Svid | undefined;

  private constructor(options: ControlLinkOptions, parts: { readonly identity: IdentityStore; readonly store: LastKnownGood; readonly builder: SnapshotBuilder; readonly svid: X509Svid | undefined; readonly plane: Plane | undefined }) {
    this.#options = options;
    this.#process = processName(options.random);
    this.#lookup = createDnsLookup(options.dns);
    this.#identity = parts.identity;
    this.#keptReady = new KeptWrite({ ...options, what: "ready.json", write: async (ports) => writeReadyFile(options.dataDir, ports) });
    this.#keptSvid = new KeptWrite({ ...options, what: "The identity", write: (svid) => parts.identity.saveSvid(svid) });
    this.#lastKnownGood = parts.store;
    this.builder = parts.builder;
    this.#stray = parts.plane === undefined ? parts.svid : undefined;
    this.plane = new WatchedValue(parts.plane);
    this.source = new WatchedValue<SnapshotSource>("none");
    this.svid = new SvidSource({
      initial: parts.plane === undefined ? undefined : parts.svid,
      issue: (newest, signal) => this.#issue(newest, signal),
      clock: options.clock,
      random: options.random,
      onEvent: (event) => this.#noteSvid(event),
    });
    const { clock, random, logger } = options;
    this.connection = new PlaneConnection({ plane: this.plane, svid: () => this.svid.current, dialing: { clock, lookup: this.#lookup }, random, logger });
  }

  /** Reads what an earlier life left. */
  static async open(options: ControlLinkOptions): Promise<ControlLink> {
    const { dataDir, keys, clock, logger } = options;
    const identity = new IdentityStore(dataDir, keys);
    const stored = await identity.load();
    for (const warning of stored.warnings) logger.warn("A file of the identity could not be used.", { reason: warning });
    const { store, state } = await LastKnownGood.open(dataDir, { clock, logger });
    const builder = new SnapshotBuilder(state?.held ?? emptyHeldState, clock);
    const link = new ControlLink(options, { identity, store, builder, svid: stored.svid, plane: stored.plane });
    if (state !== undefined) {
      link.source.set("disk");
      link.discovery.asOfMs = state.asOfMs;
      logger.info("The last known good state serves until the plane answers.", { asOfMs: state.asOfMs, services: state.held.snapshot.services.size });
    }
    builder.addBundles(workloadBundles(stored.bundles, stored.plane));
    return link;
  }

  /** How old what is held is, in ms; 0 while the plane is connected, undefined when nothing is held. */
  get ageMs(): number | undefined {
    if (this.source.current === "none") return undefined;
    return this.discovery.connected ? 0 : Math.max(0, this.#options.clock.nowMs() - this.discovery.asOfMs);
  }

  /** Why something that a cold start needs in its newest form is not on the disk, as long as a report may be; undefined while all is. */
  get unwritten(): string | undefined {
    return (this.#keptSvid.failure ?? this.#lastKnownGood.failure)?.slice(0, reportTextMax);
  }

  /** Writes `ready.json`, also later where the disk takes nothing now: it serves without. */
  async sayReady(ports: ReadyPorts): Promise<void> {
    await this.#keptReady.put(ports);
  }

  /** Renews, subscribes and saves until `signal` aborts. `subscriptionsOf` is asked once there is an identity. */
  async run(subscriptionsOf: (svid: X509Svid) => readonly Subscription[], signal: AbortSignal): Promise<void> {
    await runTasks(
      [(inner) => this.svid.run(inner), (inner) => this.#discover(subscriptionsOf, inner), (inner) => this.#save(inner)],
      signal,
    );
    await this.close();
  }

  /** An orderly end, for whoever opened it and does not come to `run`: what it knows is not what was wrong. */
  async close(): Promise<void> {
    this.connection[Symbol.dispose]();
    await this.#keptReady[Symbol.asyncDispose]();
    await this.#keptSvid[Symbol.asyncDispose]();
    await this.#lastKnownGood.close();
  }

  async #discover(subscriptionsOf: (svid: X509Svid) => readonly Subscription[], signal: AbortSignal): Promise<void> {
    try {
      const svid = await until(this.svid, (value) => value !== undefined, signal);
      await until(this.plane, (value) => value !== undefined, signal);
      if (svid === undefined) return;
      const { clock, random, logger, name, region, zone } = this.#options;
      await runDiscovery(
        {
          plane: this.connection,
          node: { id: name, cluster: "", region, zone: zone ?? "" },
          process: this.#process,
          subscriptions: subscriptionsOf(svid),
          builder: this.builder,
          stats: this.discovery,
          onLevel: () => this.source.set("plane"),
          clock,
          random,
          logger,
        },
        signal,
      );
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
  }

  async #save(signal: AbortSignal): Promise<void> {
    // What came from disk need not be written again; what came before everything was answered is not whole yet.
    let saved = this.builder.current;
    try {
      await until(this.source, (source) => source !== "none", signal);
      for await (const held of this.builder.changes(signal)) {
        if (held === saved) continue;
        saved = held;
        await this.#lastKnownGood.save({ held, asOfMs: this.discovery.asOfMs });
        await sleep(this.#options.clock, saveIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
    if (this.builder.current !== saved && this.source.current !== "none") await this.#lastKnownGood.save({ held: this.builder.current, asOfMs: this.discovery.asOfMs });
  }

  async #issue(newest: X509Svid | undefined, signal: AbortSignal): Promise<X509Svid> {
    const plane = this.plane.current;
    if (newest === undefined || plane === undefined) return this.#stray === undefined ? await this.#join(signal) : await this.#return(this.#stray, signal);
    try {
      const { svid, bundles } = await this.#renew(newest, plane, signal);
      // Used in any case: a disk that takes nothing must not end an identity, and the key of before is good for as long again.
      await this.#keptSvid.put(svid);
      this.builder.addBundles(workloadBundles(bundles, plane));
      return svid;
    } catch (error) {
      if (isAbort(error) || this.svid.current !== undefined) throw error;
      return await this.#joinAgain(error, signal);
    }
  }

  /** By the certificate while it holds, as others cannot; by its key where nobody answers that, or when it has ended. */
  async #renew(newest: X509Svid, plane: Plane, signal: AbortSignal): Promise<Renewed> {
    const { clock, logger } = this.#options;
    if (this.svid.current !== undefined) {
      try {
        return await renewByCertificate(this.connection.client(), newest, clock.nowMs(), signal);
      } catch (error) {
        if (isAbort(error)) throw error;
        logger.debug("The identity is renewed by its key, since the plane's discovery port does not do it.", { reason: describeError(error) });
      }
    }
    const voucher = await openVoucher(this.#joinSource()).catch(() => undefined);
    const addresses = [...new Set([...(voucher?.addresses ?? []), ...plane.joinAddresses])];
    return await renewByKey({ plane, addresses, svid: newest, dialing: { clock, lookup: this.#lookup } }, signal);
  }

  /** For a plane that knows us no more, or is another now. Its refusal of a token, which may be used long ago, is no reason to end where the key could not even be shown. */
  async #joinAgain(before: unknown, signal: AbortSignal): Promise<X509Svid> {
    try {
      return await this.#join(signal);
    } catch (error) {
      throw isRefusal(error) && !isRefusal(before) ? before : error;
    }
  }

  /** To the plane that an SVID from disk is of, whoever that is: a damaged file beside the key must not cost the identity. */
  async #return(stray: X509Svid, signal: AbortSignal): Promise<X509Svid> {
    try {
      const joined = await returnToPlane(await openVoucher(this.#joinSource()), stray, this.#joining(), signal);
      return await this.#settle(joined);
    } catch (error) {
      if (isAbort(error)) throw error;
      return await this.#joinAgain(error, signal);
    }
  }

  async #join(signal: AbortSignal): Promise<X509Svid> {
    const voucher = await openVoucher(this.#joinSource());
    // Kept until joining has succeeded, so that an attempt whose answer was lost is not a second instance to a token for many.
    const keys = await this.#identity.joiningKeys();
    const svid = await this.#settle(await joinPlane(voucher, { ...this.#joining(), keys }, signal));
    // To an attested document this proxy stays the same instance, however often it has to join.
    if (!voucher.isLasting) await this.#identity.forgetJoiningKeys();
    return svid;
  }

  async #settle(joined: Joined): Promise<X509Svid> {
    await this.#identity.saveJoined(joined);
    this.builder.addBundles(workloadBundles(joined.bundles, joined.plane));
    this.plane.set(joined.plane);
    return joined.svid;
  }

  #joining(): JoinOptions {
    const { clock, discovery } = this.#options;
    return { clock, lookup: this.#lookup, ...(discovery === undefined ? {} : { discovery }) };
  }

  #joinSource(): JoinSource {
    const { joinTokenFile, joinAttest } = this.#options;
    return { tokenFile: joinTokenFile, ...(joinAttest === undefined ? {} : { attest: joinAttest }) };
  }

  #noteSvid(event: SvidEvent): void {
    const { logger } = this.#options;
    switch (event.kind) {
      case "renewed":
        this.identityEvents.renewals++;
        logger.info("A new identity is in use.", { spiffeId: event.svid.spiffeId, notAfterMs: event.svid.notAfterMs });
        break;
      case "renewalFailed":
        this.identityEvents.failures++;
        logger.warn("No new identity could be had.", { reason: describeError(event.error), failures: event.failuresInRow, retryInMs: Math.round(event.retryInMs) });
        if (this.svid.current === undefined && this.#options.joinAttest === undefined && isRefusal(event.error)) this.refusal.set(event.error);
        break;
      case "early":
        logger.error("The clock of this host is behind: the identity is not valid yet by it, nor is what others show. Set it right (NTP); everything goes on by itself then.", { earlyMs: event.earlyMs });
        break;
      case "expired":
        logger.error("The identity has expired; mesh connections are closed to us.", { spiffeId: event.svid.spiffeId });
        break;
    }
  }
}

/** The federation's own bundle authenticates planes and nothing else: it never gets among those of workloads. */
function workloadBundles(bundles: readonly TrustBundle[], plane: Plane | undefined): readonly TrustBundle[] {
  return bundles.filter((bundle) => bundle.trustDomain !== plane?.bundle.trustDomain);
}
