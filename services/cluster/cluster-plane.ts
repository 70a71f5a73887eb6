import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { unreachedByCluster } from "#federation/model/unreached-cluster.ts";
import { CatalogReplicaStore } from "#federation/replication/shell/catalog-replica-store.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import type { HeldWithdrawals } from "#federation/replication/shell/held-withdrawals.ts";
import { Incarnation } from "#federation/replication/shell/incarnation.ts";
import { linkSubjects, runPublisher, type StandingOf } from "#federation/replication/shell/run-publisher.ts";
import { heldAgeMs, runReceiver, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { runOverStore, type StoreGround } from "#federation/history/term-store.ts";
import { epochOf } from "#federation/model/store-standing.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import { nameRows, type DialledName } from "#federation/runtime/dns/dialled-names.ts";
import { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { retried } from "#federation/runtime/retry.ts";
import { runWhile } from "#federation/runtime/run-while.ts";
import { mapWatched, until, WatchedValue } from "#federation/runtime/watched.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import { clusterNames } from "./cluster-names.ts";
import type { ClusterPlaneParts } from "./cluster-plane-options.ts";
import type { ClusterSelf, ClusterState } from "./cluster-state.ts";
import type { OwnTrust } from "./cluster-state-source.ts";
import { ClusterViews } from "./cluster-views.ts";
import { objectSignerOf } from "./credentials/key-roles.ts";
import { createBundleFetch } from "./federated-bundles/fetch-bundle.ts";
import { FederatedBundles } from "./federated-bundles/federated-bundles.ts";
import { federatedRows } from "./federated-bundles/federated-rows.ts";
import { isOwnDomain } from "./federated-bundles/own-domains.ts";
import { ExportContents } from "./exports/export-contents.ts";
import { OwnObjects } from "./exports/own-objects.ts";
import { publishJwtKeys } from "./exports/publish-jwt-keys.ts";
import { trustDomainContent } from "./exports/trust-domain-content.ts";
import { waitForFirstSync } from "./first-sync.ts";
import type { ReplicatedView } from "./replicated/replicated-view.ts";
import type { Serving } from "./serve-cluster.ts";
import { followOwnBundle } from "./trust/follow-own-bundle.ts";
import { withdrawnRelationships } from "./trust/own-approvals.ts";
import { admitsReceived, receivedBrake } from "./trust/received-rules.ts";

/** Answers proxies and operators from what the plane knows, until its signal aborts. */
export type ServeCluster = (serving: Serving, signal: AbortSignal) => Promise<void>;

/**
 * Runs a cluster's plane for one term of leadership over its store, until `signal` aborts; `serve` opens its ports. A store or a bus that is away
 * for a while is waited for: the ports go on answering from what is known, and while another may lead by now, nothing is said in the
 * plane's name.
 */
export async function runClusterPlane(options: ClusterPlaneParts, serve: ServeCluster, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { config, store, writeFile, clock, random, logger } = options;
  const patiently = (task: Task): Task =>
    retried({ clock, random, onFailure: (error) => logger.warn("A part of the plane was interrupted and begins again.", { reason: describeError(error) }) }, task);
  await runOverStore({ store, term, dataDir: config.dataDir, writeFailures: options.metrics.writeFailures, writeFile, clock, random, logger }, patiently, (ground, inner) => runStanding(options, { ...ground, serve, term, patiently }, inner), signal);
}

/** What a plane runs on while its store stands as it does. */
interface Ground extends StoreGround {
  readonly serve: ServeCluster;
  readonly term: LeaderTerm;
  readonly patiently: (task: Task) => Task;
}

/**
 * The plane for as long as its store stands as it does now. Nothing is exported and nothing is served before everything stored has been
 * read. Over a store that is behind the operator's ports answer and nothing else: proxies and the other planes go on with what they hold.
 */
async function runStanding(options: ClusterPlaneParts, { serve, term, termStore, catalog, standing, patiently }: Ground, signal: AbortSignal): Promise<void> {
  const { config, membership, keySource, bus, lookup, clock, random, logger, metrics } = options;
  const { federation, cluster, region, trustDomain } = membership.facts;
  const self: ClusterSelf = { federation, cluster, region, trustDomain };
  const isSound = standing.state === "sound";
  const epoch = epochOf(standing);
  const canSign = mapWatched(keySource.keys, ({ signer }) => signer !== undefined);
  const started: { own?: OwnObjects; isNewStore: boolean } = { isNewStore: false };
  await patiently(async (inner) => {
    started.isNewStore = (await catalog.positions.get(globalOrigin, inner)) === undefined;
    started.own = await OwnObjects.open({ self, epoch, catalog, signer: () => objectSignerOf(keySource.keys.current), clock, mayWrite: isSound && canSign.current }, inner);
  })(signal);
  const { own, isNewStore } = started;
  if (own === undefined) return;

  const ownTrust = new WatchedValue<OwnTrust>(ownTrustOf(options));
  const withdrawn = new WatchedValue(withdrawnRelationships(own.publication.current, cluster));
  const views = new ClusterViews({ catalog, self, epoch, ownTrust, withdrawn, parseBundle, clock, logger });
  const { replicated, registry, source } = views;
  const dialled = (): readonly DialledName[] => clusterNames({ config, self, globalAddresses: membership.facts.apiAddresses, clusters: source.state.current.clusters });
  using resolver = new NameResolver({ lookup, clock, random, onChange: (name, { problem }) => logger.info(problem === undefined ? "A name resolves again." : "A name does not resolve.", { name, ...(problem === undefined ? {} : { reason: problem }) }) });
  const verifyChain = createChainVerifier({ federation, clock, authorityOf: (name) => authorityFor(name, options, replicated) });
  const isOwn = (name: TrustDomainName): boolean => isOwnDomain(name, self, replicated.state.current.trustDomains);
  const federated = new FederatedBundles({
    declared: views.stored.FederatedTrustDomain,
    setStatus: async (name, change, inner) => await catalog.resources("FederatedTrustDomain").setStatus(name, change, inner),
    isOwn,
    fetch: createBundleFetch({ lookup, ownAddress: config.listen.address, clock }),
    parseBundle,
    onFetched: (result) => metrics.federatedFetches.inc({ result }),
    clock,
    random,
    logger,
  });
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const standings = new Map<string, StandingOf>();
  const withdrawals = new Map<string, HeldWithdrawals>();
  const incarnation = new Incarnation({ clock, random, logger });
  const exported = new WatchedValue<ClusterState | undefined>(undefined);
  const common = { bus, clock, logger };
  const loaded: Task = async (inner) => void (await until(source.loaded, (isLoaded) => isLoaded, inner));
  metrics.reports = {
    standing: () => standing,
    isCertain: () => term.certain.current,
    storeAway: () => termStore.away.current,
    unfollowed: () => termStore.unfollowed,
    statuses,
    lags,
    hasRival: () => incarnation.met !== undefined,
    streams: () => 0,
    silentProxies: () => 0,
    policyTrials: () => [],
    federated: () => federatedRows(views.stored.FederatedTrustDomain.current, source.state.current.bundles, federated),
    rolloutWaiters: () => 0,
    endpoints: () => registry.state.current.size,
    sessions: () => [...registry.state.current.values()].filter((endpoint) => endpoint.attached).length,
    unwritten: () => registry.unwritten.length,
    clocksApart: () => registry.clocks.length,
    unreached: () => unreachedByCluster(registry.unreached),
    unknownEndpoints: () => [...registry.state.current.values()].filter((endpoint) => !endpoint.attached && endpoint.record.ready).length,
    imports: () => source.state.current.imports.size,
    originAgesMs: () => originAges(statuses.current.get(globalOrigin), source.state.current, clock),
    relationships: () => source.state.current.relationships.length,
    jwtAuthorities: () => Array.from(source.state.current.bundles.values(), ({ trustDomain, jwtAuthorities = [] }) => [trustDomain, jwtAuthorities.length] as const),
    jwtAuthoritiesLeftOut: () => source.jwtAuthoritiesLeftOut,
    relationshipEnds: () => source.state.current.relationships.map(({ name, untilMs }) => [name, untilMs] as const),
    names: { unresolved: () => resolver.unresolved, leftOut: () => resolver.leftOut },
  };

  const following: readonly Task[] = [
    ...views.following(patiently),
    async (inner) => {
      for await (const publication of own.publication.changes(inner)) withdrawn.set(keptIfEqual(withdrawn.current, withdrawnRelationships(publication, cluster)));
    },
    async (inner) => {
      for await (const _ of mapWatched(source.state, ({ clusters }) => clusters).changes(inner)) resolver.follow(new Set(dialled().map(({ name }) => name)));
    },
    async (inner) => {
      for await (const _ of keySource.keys.changes(inner)) ownTrust.set(ownTrustOf(options));
    },
    patiently((inner) => followOwnBundle({ trustDomain, replicated: replicated.state, keySource, onRefused: () => metrics.ownBundlesRefused.inc(), logger }, inner)),
    async (inner) => {
      await loaded(inner);
      if ((isNewStore || termStore.life.hasDecided) && isSound) await waitForFirstSync({ cluster, statuses, replicated: replicated.state, clock, logger }, inner);
      await serve({ self, termStore, standing, catalog, registry, source, stored: views.stored, federated, isOwn, own, verifyChain, statuses, lags, standings, withdrawals, incarnation, exported, epoch, replicated, hadProxies: !isNewStore, names: () => nameRows(dialled(), resolver.names.current) }, inner);
    },
  ];
  // Without its signing key the cluster says nothing: what it has said holds with the others, and what they say is received.
  const signing: readonly Task[] = [
    patiently(async (inner) => {
      for await (const _ of keySource.keys.changes(inner)) await own.renewSignatures(inner);
    }),
    patiently(async (inner) => {
      await loaded(inner);
      const contents = new ExportContents();
      // Until the global plane has said which namespaces this cluster may export, nothing is known that could be withdrawn.
      for await (const state of source.state.changes(inner)) {
        if (!state.clusters.has(cluster)) continue;
        await own.replaceKind("ServiceExport", contents.next(state), inner);
        exported.set(state);
      }
    }),
    patiently((inner) => publishJwtKeys({ cluster, own, keys: options.jwtKeys, standings, clock }, inner)),
    patiently(async (inner) => {
      if (options.signer === undefined) return;
      const signer = await options.signer.whenOpen(inner);
      for await (const _ of signer.roots.changes(inner)) await own.put("TrustDomain", trustDomain, trustDomainContent(signer.statement(), trustDomain), inner);
    }),
    (inner) =>
      runPublisher(
        {
          ...common,
          random,
          names: { federation, publisher: cluster, audience: globalOrigin },
          publisherTrustDomain: trustDomain,
          subjects: linkSubjects("up", cluster),
          epoch,
          term: term.number,
          objects: own.publication,
          signer: () => objectSignerOf(keySource.keys.current),
          lags,
          standings,
          incarnation,
          verifyChain,
          history: () => termStore.history,
          onBehind: termStore.life.outdone,
        },
        inner,
      ),
  ];
  const writing: readonly Task[] = [
    async (inner) => await options.backups?.run(termStore, inner),
    runWhile(canSign, (inner) => runTasks(signing, inner)),
    async (inner) => {
      // What an endpoint must not speak for is known once everything stored has been read.
      await loaded(inner);
      await federated.run(inner);
    },
    (inner) =>
      runReceiver(
        {
          ...common,
          names: { federation, publisher: globalOrigin, audience: cluster },
          publisherTrustDomain: federation,
          subjects: linkSubjects("down", cluster),
          origins: "any",
          audienceNames: [trustDomain, `cluster:${cluster}`],
          admits: admitsReceived(self, () => replicated.state.current),
          brake: receivedBrake,
          verifyChain,
          store: new CatalogReplicaStore({ catalog, publisher: globalOrigin, isFrom: (record) => record.origin !== cluster, clock }),
          statuses,
          withdrawals,
        },
        inner,
      ),
  ];
  try {
    // Who is silent is unknown whether the store is there or not.
    const standingBy = [...following, patiently((inner: AbortSignal) => registry.lookOver(inner))];
    await runTasks(isSound ? [...standingBy, runWhile(term.certain, (inner) => runTasks(writing, inner))] : following, signal);
  } finally {
    metrics.reports = undefined;
  }
}

/** `before` where `next` has the same members, so that nothing is derived anew for it. */
function keptIfEqual(before: ReadonlySet<string>, next: ReadonlySet<string>): ReadonlySet<string> {
  return next.size === before.size && [...next].every((name) => before.has(name)) ? before : next;
}

/** Of the other clusters that are known here. */
function originAges(status: ReceiverStatus | undefined, { self, clusters }: ClusterState, clock: Clock): readonly (readonly [string, number])[] {
  if (status === undefined) return [];
  return [...clusters.keys()].flatMap((origin) => {
    const ageMs = origin === self.cluster ? undefined : heldAgeMs(status, origin, clock.monotonicMs());
    return ageMs === undefined ? [] : [[origin, ageMs] as const];
  });
}

function ownTrustOf({ keySource }: ClusterPlaneParts): OwnTrust {
  const { bundle, authorityCertificatePem } = keySource.keys.current;
  return { bundle, authorityCertificatePem };
}

/** Whose authority is believed: the federation's and one's own by their files, others as their TrustDomain says; what they may do then follows from relationships. */
function authorityFor(trustDomain: string, { membership, keySource }: ClusterPlaneParts, replicated: ReplicatedView): string | undefined {
  const { facts } = membership;
  if (trustDomain === facts.federation) return facts.federationAuthorityPem;
  if (trustDomain === facts.trustDomain) return keySource.keys.current.authorityCertificatePem;
  return replicated.state.current.trustDomains.get(trustDomain)?.spec.authorityCertificatePem;
}
