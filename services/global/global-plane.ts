import type { AuditTrail } from "#federation/admin-api/audit.ts";
import type { PlaneAccess } from "#federation/admin-api/plane-access.ts";
import { planeIncarnation } from "#federation/admin-api/plane-incarnation.ts";
import { RolloutWaits } from "#federation/admin-api/rollout-waits.ts";
import { openAdminServer } from "#federation/admin-api/server.ts";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import type { Bus } from "#federation/bus/bus.ts";
import type { Attestation } from "#federation/catalog/admit-joiner.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { joinRefusalLabel } from "#federation/model/join-refusal.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import type { Rollout, RolloutSubject } from "#federation/model/rollout.ts";
import { epochOf, type StoreStanding } from "#federation/model/store-standing.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import { createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import { Incarnation } from "#federation/replication/shell/incarnation.ts";
import { runOverStore, type TermStore } from "#federation/history/term-store.ts";
import { hostPort } from "#federation/runtime/dns/host-name.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { dialledNames, nameRows, type NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import { engineNames } from "#federation/runtime/engine-config.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { writeReadyFile } from "#federation/runtime/process.ts";
import type { Random } from "#federation/runtime/random.ts";
import { retried } from "#federation/runtime/retry.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import { runWhile } from "#federation/runtime/run-while.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { NameCounts } from "#federation/telemetry/name-metrics.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";
import { globalOperations, isClusterPlane, storedResources } from "./admin/global-operations.ts";
import type { GlobalConfig } from "./config.ts";
import { planeValidityMs, type FederationKeys } from "./federation-keys.ts";
import { joinCluster, type JoinClusterOptions } from "./join/join-cluster.ts";
import { openJoinServer } from "./join/join-server.ts";
import type { GlobalMetrics } from "./metrics.ts";
import { applyBrought, changesBrought } from "./relay/brought-objects.ts";
import { ClusterLinks } from "./relay/cluster-links.ts";
import { FederationState } from "./relay/federation-state.ts";
import { federationStatus, type LinkState } from "./relay/federation-status.ts";
import { GlobalObjects } from "./relay/global-objects.ts";
import { globalRollout } from "./relay/global-rollout.ts";
import { globalReconciler } from "./store/global-reconciler.ts";

export interface GlobalPlaneOptions {
  readonly config: GlobalConfig;
  readonly keys: FederationKeys;
  readonly store: Store;
  readonly bus: Bus;
  readonly metrics: GlobalMetrics;
  /** Outlives a term. */
  readonly joinGuard: JoinGuard;
  readonly access: PlaneAccess;
  readonly attestation: Attestation;
  readonly audit: AuditTrail;
  /** How names are looked up. */
  readonly lookup: NameLookup;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What one term of leadership is made of. */
interface Term {
  readonly options: GlobalPlaneOptions;
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
 * catalog. A store or a bus that is away for a while is waited for; the term ends with the leadership. While the store is away for longer
 * than it keeps the leader's place, or is behind what was witnessed of it, the ports answer, and nothing is written or published.
 */
export async function leadFederation(options: GlobalPlaneOptions, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { config, store, clock, random, logger } = options;
  const patiently = (task: Task): Task =>
    retried({ clock, random, onFailure: (error) => logger.warn("A part of the plane was interrupted and begins again.", { reason: describeError(error) }) }, task);
  const dialled = [...engineNames(config, "of the global plane"), ...dialledNames([config.advertiseAddress], "the global plane")];
  using resolver = new NameResolver({ lookup: options.lookup, clock, random, onChange: (name, { problem }) => logger.info(problem === undefined ? "A name resolves again." : "A name does not resolve.", { name, ...(problem === undefined ? {} : { reason: problem }) }) });
  resolver.follow(new Set(dialled.map(({ name }) => name)));
  const names = (): readonly NameRow[] => nameRows(dialled, resolver.names.current);
  const counts: NameCounts = { unresolved: () => resolver.unresolved, leftOut: () => resolver.leftOut };
  await runOverStore(
    { store, term, dataDir: config.dataDir, clock, random, logger },
    patiently,
    (ground, inner) => runStanding(createTerm({ options, ...ground, leader: term, follow: patiently, names }), { patiently, names: counts }, inner),
    signal,
  );
}

/** The plane for as long as its store stands as it does now. */
async function runStanding(parts: Term, { patiently, names }: { readonly patiently: (task: Task) => Task; readonly names: NameCounts }, signal: AbortSignal): Promise<void> {
  const { options, leader, standing, state, links, incarnation, material } = parts;
  const { metrics } = options;
  metrics.reports = {
    standing: () => standing,
    isCertain: () => leader.certain.current,
    storeAway: () => parts.termStore.away.current,
    statuses: links.statuses,
    lags: links.lags,
    hasRival: () => incarnation.met !== undefined,
    clusterCount: () => state.clusters.current.size,
    rolloutWaiters: () => 0,
    certificateNotAfterMs: () => material.current.svid.notAfterMs,
    names,
  };
  const publishing: Task = runWhile(leader.certain, (inner) => runTasks([(deeper) => links.run(deeper), patiently((deeper) => takeBrought(parts, deeper))], inner));
  try {
    await runTasks(
      [
        (inner) => state.run(inner),
        async (inner) => {
          await until(state.ready, (isReady) => isReady, inner);
          await runTasks([...(standing.state === "sound" ? [publishing] : []), (deeper) => serve(parts, deeper)], inner);
        },
        (inner) => renewKeys(parts, inner),
      ],
      signal,
    );
  } finally {
    metrics.reports = undefined;
  }
}

function createTerm(parts: Pick<Term, "options" | "leader" | "termStore" | "catalog" | "standing" | "names"> & { readonly follow: (task: Task) => Task }): Term {
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
    offerContext: () => ({ clusters: state.clusters.current, relationships: state.relationships, isActive: state.isActive }),
    objectsOf: (origin) => state.objectsOf(origin),
    signer: () => signer.current,
    verifyChain,
    waitsForOrigins: termStore.life.hasDecided,
    onBehind: ({ witness, ...witnessed }) => termStore.life.outdone({ witnessed, witness, present: () => ({ epoch, revision: state.publication.current.revision }) }),
    clock,
    random,
    logger,
  });
  return { options, leader, termStore, catalog, standing, epoch, verifyChain, state, links, incarnation, material, signer, names };
}

/** Applies approvals and bundles as clusters bring them, and looks again whenever what they speak of changes. */
async function takeBrought({ options, catalog, state }: Term, signal: AbortSignal): Promise<void> {
  let seen: readonly unknown[] = [];
  for await (const _ of state.publication.changes(signal)) {
    const basis = state.broughtBasis;
    if (isSameList(basis, seen)) continue;
    seen = basis;
    await applyBrought(changesBrought(state.brought), catalog, options.logger, signal);
  }
}

/** Opens the ports of the plane and keeps their certificates current. */
async function serve(term: Term, signal: AbortSignal): Promise<void> {
  const { options, termStore, catalog, material } = term;
  const { config, keys, clock, logger, metrics, joinGuard, access, attestation, audit } = options;
  const { address } = config.listen;
  let isServing = false;
  const waits = new RolloutWaits({ clock, onRefused: () => metrics.rolloutWaitsRefused.inc() });
  if (metrics.reports !== undefined) metrics.reports = { ...metrics.reports, rolloutWaiters: () => waits.count };
  const joining: JoinClusterOptions = { keys, catalog, attestation, clock, logger, apiAddresses: () => [hostPort(config.advertiseAddress, admin.port)] };
  await using joinServer = await openJoinServer(
    {
      address,
      port: config.listen.joinPort,
      material,
      rootPem: keys.rootPem,
      guard: joinGuard,
      join: async (request, inner) => {
        const answer = await joinCluster(joining, request, inner);
        metrics.certificatesIssued.inc({ kind: "first" });
        return answer;
      },
      onError: (error) => {
        metrics.joinRefused.inc({ reason: joinRefusalLabel(error) });
        logger.warn("A join was refused.", { reason: describeError(error) });
      },
    },
    signal,
  );
  await using admin = await openAdminServer({
    address,
    port: config.listen.apiPort,
    tls: adminTls(material.current),
    operations: globalOperations({
      keys,
      catalog,
      stored: storedResources(term.state.resources),
      isAway: () => termStore.away.current !== undefined,
      status: () => statusOf(term),
      rollout: { epoch: term.epoch, waits, look: (subject) => rolloutIn(term, subject) },
      joinAddress: hostPort(config.advertiseAddress, joinServer.port),
      joining,
      onRenewed: () => metrics.certificatesIssued.inc({ kind: "renewed" }),
      store: {
        origin: globalOrigin,
        standing: termStore.life.standing,
        objects: catalog.objects,
        verifyChain: term.verifyChain,
        reconciler: globalReconciler(termStore.unguarded, term.epoch),
        beginEpoch: async (above, inner) => await termStore.life.beginEpoch(above, inner),
        backup: { federation: keys.trustDomain, plane: globalOrigin, copy: async (inner) => await termStore.copy(inner), clock },
      },
      withdrawals: term.links.withdrawals,
      rival: () => term.incarnation.met,
      audit,
      clock,
    }),
    openApi: { title: "Atoll global control plane", version: "1.0.0" },
    ...access,
    isPlane: isClusterPlane,
    audit,
    isReady: () => isServing && !signal.aborted,
    staleSinceMs: () => termStore.away.current?.sinceMs,
    onError: (error, operationId) => logger.error("An operation failed.", { operationId, reason: describeError(error) }),
    onRefused: (code) => metrics.adminRefused.inc({ code }),
    clock,
  });
  isServing = true;
  keys.writeAdminContext(hostPort(config.advertiseAddress, admin.port), clock.nowMs());
  writeReadyFile(config.dataDir, { api: admin.port, join: joinServer.port });
  logger.info("The global plane serves.", { apiPort: admin.port, joinPort: joinServer.port });
  let served = material.current;
  for await (const current of material.changes(signal)) {
    if (current === served) continue;
    served = current;
    admin.replaceTls(adminTls(current));
    // The local administrator's certificate lives as long as ours.
    keys.writeAdminContext(hostPort(config.advertiseAddress, admin.port), clock.nowMs());
  }
}

function adminTls({ svid, anchors }: TlsMaterial) {
  return { caPem: anchors.join(""), certificateChainPem: svid.certificateChainPem, privateKeyPem: svid.privateKeyPem };
}

/** New keys at half of their life, while the old ones still count. */
async function renewKeys({ options, material, signer, state }: Term, signal: AbortSignal): Promise<void> {
  const { keys, config, clock } = options;
  for (;;) {
    await sleep(clock, planeValidityMs / 2, signal);
    material.set(createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]));
    signer.set(keys.issueSigner(clock.nowMs()));
    state.publish();
  }
}

function statusOf({ options, leader, termStore, epoch, standing, state, links, incarnation, names }: Term): FederationStatus {
  const { keys, clock } = options;
  return federationStatus(
    {
      federation: keys.trustDomain,
      epoch,
      isLeader: leader.certain.current,
      clusters: [...state.clusters.current.values()],
      relationships: state.relationships,
      isActive: state.isActive,
      exports: state.exports,
      links: linkStates(links, clock),
      names: names(),
      store: standing,
      storeAwaySinceMs: termStore.away.current?.sinceMs,
      ...(standing.state === "sound" ? { incarnation: planeIncarnation(incarnation) } : {}),
    },
    clock.nowMs(),
  );
}

function rolloutIn({ options, state, links }: Term, subject: RolloutSubject): Rollout {
  return globalRollout(
    {
      clusters: state.clusters.current,
      objects: state.publication.current.objects,
      offers: (cluster, payload) => links.offers(cluster.metadata.name, payload),
      standings: links.standings,
      links: linkStates(links, options.clock),
    },
    subject,
  );
}

function linkStates(links: ClusterLinks, clock: Clock): ReadonlyMap<string, LinkState> {
  const states = new Map<string, LinkState>();
  for (const id of new Set([...links.lags.current.keys(), ...links.statuses.current.keys()])) {
    const lag = links.lags.current.get(id);
    const heardAt = links.statuses.current.get(id)?.heardAtMonotonicMs;
    states.set(id, {
      heardAgeMs: heardAt === undefined ? undefined : clock.monotonicMs() - heardAt,
      wholeAgeMs: links.wholeAgeMs(id),
      sentSeq: lag?.publishedSeq ?? 0,
      acknowledgedSeq: lag?.acknowledgedSeq ?? 0,
      lagMs: lag?.behindMs ?? 0,
      refusesUs: lag?.needsReconcile === true,
      behindSinceMs: links.statuses.current.get(id)?.needsReconcileSinceMs,
      doubled: links.statuses.current.get(id)?.doubled,
      withdrawalsHeld: links.statuses.current.get(id)?.heldBack ?? 0,
      refused: lag?.refused ?? [],
    });
  }
  return states;
}
