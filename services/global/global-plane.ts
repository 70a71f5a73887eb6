import type { Bus } from "#federation/bus/bus.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { SeenEngines } from "#federation/model/engine-report.ts";
import { epochOf, type StoreStanding } from "#federation/model/store-standing.ts";
import { parseX509 } from "#federation/identity/authority.ts";
import { createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import { Incarnation } from "#federation/replication/shell/incarnation.ts";
import type { BackupSchedule } from "#federation/history/backup-schedule.ts";
import { runOverStore, type TermStore } from "#federation/history/term-store.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { dialledNames, nameRows, type NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import { engineNames } from "#federation/runtime/engine-config.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import type { WritePrivateFile } from "#federation/runtime/private-file.ts";
import type { Random } from "#federation/runtime/random.ts";
import { retried } from "#federation/runtime/retry.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import { runWhile } from "#federation/runtime/run-while.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { NameCounts } from "#federation/telemetry/name-metrics.ts";
import type { ObjectSigner, VerifyChain } from "#federation/wire/signed-object.ts";
import type { GlobalConfig } from "./config.ts";
import type { FederationKeys } from "./federation-keys.ts";
import { atHalfLife } from "./half-life.ts";
import type { GlobalMetrics } from "./metrics.ts";
import { applyBrought, changesBrought } from "./relay/brought-objects.ts";
import { ClusterLinks } from "./relay/cluster-links.ts";
import { FederationState } from "./relay/federation-state.ts";
import { GlobalObjects } from "./relay/global-objects.ts";
import { trustDomainAuthorities } from "./trust/authority-rows.ts";

/** What the global plane knows, decides and says to others by, without its ports; all of it outlives a term. */
export interface GlobalPlaneParts {
  readonly config: GlobalConfig;
  readonly keys: GlobalKeys;
  readonly store: Store;
  /** Absent: its engines are embedded. */
  readonly engines?: SeenEngines | undefined;
  /** Absent: the plane makes no backups by itself. */
  readonly backups?: Pick<BackupSchedule, "run" | "standing"> | undefined;
  readonly bus: Bus;
  readonly metrics: GlobalMetrics;
  /** How names are looked up. */
  readonly lookup: NameLookup;
  /** As in `StoreLifeOptions`. */
  readonly writeFile?: WritePrivateFile;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What the plane signs by, and shows who it is. */
export type GlobalKeys = Pick<FederationKeys, "trustDomain" | "authorityPem" | "bundle" | "issuePlane" | "issueSigner">;

/** Answers operators and joiners from what the plane knows, until its signal aborts. */
export type ServeFederation = (term: GlobalTerm, signal: AbortSignal) => Promise<void>;

/** What one term of leadership is made of. */
export interface GlobalTerm {
  readonly options: GlobalPlaneParts;
  readonly leader: LeaderTerm;
  readonly termStore: TermStore;
  readonly catalog: Catalog;
  readonly standing: StoreStanding;
  readonly epoch: number;
  readonly verifyChain: VerifyChain;
  readonly state: FederationState;
  readonly links: ClusterLinks;
  readonly incarnation: Incarnation;
  readonly material: WatchedValue<TlsMaterial>;
  readonly signer: WatchedValue<ReturnType<FederationKeys["issueSigner"]>>;
  /** The names that are dialled here, as they resolve now. */
  readonly names: () => readonly NameRow[];
}

/**
 * Leads the federation for one term: the admin API, the join port, and a link to each cluster, all over one fenced
 * catalog; `serve` opens the ports. A store or a bus that is away for a while is waited for; the term ends with the leadership. While the store is away for longer
 * than it keeps the leader's place, or is behind what was witnessed of it, the ports answer, and nothing is written or published.
 */
export async function leadFederation(options: GlobalPlaneParts, serve: ServeFederation, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { config, store, writeFile, clock, random, logger } = options;
  const patiently = (task: Task): Task =>
    retried({ clock, random, onFailure: (error) => logger.warn("A part of the plane was interrupted and begins again.", { reason: describeError(error) }) }, task);
  const dialled = [...engineNames(config, "of the global plane"), ...dialledNames([config.advertiseAddress], "the global plane")];
  using resolver = new NameResolver({ lookup: options.lookup, clock, random, onChange: (name, { problem }) => logger.info(problem === undefined ? "A name resolves again." : "A name does not resolve.", { name, ...(problem === undefined ? {} : { reason: problem }) }) });
  resolver.follow(new Set(dialled.map(({ name }) => name)));
  const names = (): readonly NameRow[] => nameRows(dialled, resolver.names.current);
  const counts: NameCounts = { unresolved: () => resolver.unresolved, leftOut: () => resolver.leftOut };
  await runOverStore(
    { store, term, dataDir: config.dataDir, writeFailures: options.metrics.writeFailures, writeFile, clock, random, logger },
    patiently,
    (ground, inner) => runStanding(createTerm({ options, ...ground, leader: term, follow: patiently, names }), { serve, patiently, names: counts }, inner),
    signal,
  );
}

/** The plane for as long as its store stands as it does now. */
async function runStanding(parts: GlobalTerm, { serve, patiently, names }: { readonly serve: ServeFederation; readonly patiently: (task: Task) => Task; readonly names: NameCounts }, signal: AbortSignal): Promise<void> {
  const { options, leader, standing, state, links, incarnation, material } = parts;
  const { metrics } = options;
  metrics.reports = {
    standing: () => standing,
    isCertain: () => leader.certain.current,
    storeAway: () => parts.termStore.away.current,
    unfollowed: () => parts.termStore.unfollowed,
    statuses: links.statuses,
    lags: links.lags,
    hasRival: () => incarnation.met !== undefined,
    clusterCount: () => state.clusters.current.size,
    relationshipEnds: () => relationshipEnds(state),
    rolloutWaiters: () => 0,
    authorities: () => trustDomainAuthorities(state.trustDomains),
    certificateNotAfterMs: () => material.current.svid.notAfterMs,
    names,
  };
  const backingUp: Task = async (inner) => await options.backups?.run(parts.termStore, inner);
  const publishing: Task = runWhile(leader.certain, (inner) => runTasks([(deeper) => links.run(deeper), patiently((deeper) => takeBrought(parts, deeper))], inner));
  try {
    await runTasks(
      [
        (inner) => state.run(inner),
        async (inner) => {
          await until(state.ready, (isReady) => isReady, inner);
          await runTasks([...(standing.state === "sound" ? [publishing, runWhile(leader.certain, backingUp)] : []), (deeper) => serve(parts, deeper)], inner);
        },
        (inner) => renewKeys(parts, inner),
      ],
      signal,
    );
  } finally {
    metrics.reports = undefined;
  }
}

/** One that has ended is still told of: that it has is what an alarm is about. */
function relationshipEnds({ relationships, standing }: FederationState): readonly (readonly [string, number])[] {
  return relationships.flatMap((relationship) => {
    const { inForce } = standing(relationship);
    return inForce === undefined ? [] : [[relationship.metadata.name, Date.parse(inForce.terms.validUntil)] as const];
  });
}

function createTerm(parts: Pick<GlobalTerm, "options" | "leader" | "termStore" | "catalog" | "standing" | "names"> & { readonly follow: (task: Task) => Task }): GlobalTerm {
  const { options, leader, termStore, catalog, standing, follow, names } = parts;
  const epoch = epochOf(standing);
  const { config, keys, bus, clock, random, logger } = options;
  const material = new WatchedValue(createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]));
  const signer = new WatchedValue(keys.issueSigner(clock.nowMs()));
  const own = new GlobalObjects({ federation: keys.trustDomain, epoch, signer: () => signer.current });
  const state = new FederationState({ catalog, own, clock, logger, follow });
  const verifyChain = createChainVerifier({
    federation: keys.trustDomain,
    authorityOf: (trustDomain) => (trustDomain === keys.trustDomain ? keys.authorityPem : state.trustDomain(trustDomain)?.spec.authorityCertificatePem),
    clock,
  });
  const incarnation = new Incarnation({ clock, random, logger });
  const links = new ClusterLinks({
    incarnation,
    federation: keys.trustDomain,
    epoch,
    term: leader.number,
    bus,
    catalog,
    clusters: state.clusters,
    objects: state.publication,
    offerContext: () => ({ clusters: state.clusters.current, relationships: state.relationships, inForce: state.inForce }),
    objectsOf: (origin) => state.objectsOf(origin),
    signer: () => signer.current,
    verifyChain,
    waitsForOrigins: termStore.life.hasDecided,
    history: () => termStore.history,
    onBehind: termStore.life.outdone,
    clock,
    random,
    logger,
  });
  return { options, leader, termStore, catalog, standing, epoch, verifyChain, state, links, incarnation, material, signer, names };
}

/** Applies approvals and bundles as clusters bring them, and looks again whenever what they speak of changes. */
async function takeBrought({ options, catalog, state }: GlobalTerm, signal: AbortSignal): Promise<void> {
  let seen: readonly unknown[] = [];
  for await (const _ of state.publication.changes(signal)) {
    const basis = state.broughtBasis;
    if (isSameList(basis, seen)) continue;
    seen = basis;
    await applyBrought(changesBrought(state.brought), catalog, options.logger, signal);
  }
}

/** New keys at half of their life, while the old ones still count. */
async function renewKeys({ options, material, signer, state }: GlobalTerm, signal: AbortSignal): Promise<void> {
  const { keys, config, clock } = options;
  const renewMaterial = (): void => material.set(createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]));
  const renewSigner = (): void => {
    signer.set(keys.issueSigner(clock.nowMs()));
    state.publish();
  };
  // Apart, since only the first ends with the issuing certificate, and another signer signs everything anew.
  await runTasks(
    [
      (inner) => atHalfLife({ notAfterMs: () => material.current.svid.notAfterMs, renew: renewMaterial, clock }, inner),
      (inner) => atHalfLife({ notAfterMs: () => signerEndMs(signer.current), renew: renewSigner, clock }, inner),
    ],
    signal,
  );
}

function signerEndMs({ chain: [leaf = new Uint8Array()] }: ObjectSigner): number {
  return parseX509(leaf).validToDate.getTime();
}
