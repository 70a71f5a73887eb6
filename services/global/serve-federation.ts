import type { AuditTrail } from "#federation/admin-api/audit.ts";
import type { PlaneAccess } from "#federation/admin-api/plane-access.ts";
import { planeIncarnation } from "#federation/admin-api/plane-incarnation.ts";
import { RolloutWaits } from "#federation/admin-api/rollout-waits.ts";
import { PlaneAdmission } from "#federation/admin-api/plane-admission.ts";
import { openAdminServer } from "#federation/admin-api/server.ts";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import type { Attestation } from "#federation/catalog/admit-joiner.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import type { TlsMaterial } from "#federation/identity/tls-options.ts";
import { joinRefusalLabel } from "#federation/model/join-refusal.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import type { Rollout, RolloutSubject } from "#federation/model/rollout.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { hostPort } from "#federation/runtime/dns/host-name.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { KeptWrite } from "#federation/runtime/kept-write.ts";
import { writeReadyFile, type ReadyPorts } from "#federation/runtime/process.ts";
import { globalOperations, isClusterPlane, storedResources } from "./admin/global-operations.ts";
import type { FederationKeys } from "./federation-keys.ts";
import type { GlobalPlaneParts, GlobalTerm } from "./global-plane.ts";
import { joinCluster, type JoinClusterOptions } from "./join/join-cluster.ts";
import { openJoinServer } from "./join/join-server.ts";
import type { ClusterLinks } from "./relay/cluster-links.ts";
import { federationStatus, type LinkState } from "./relay/federation-status.ts";
import { globalRollout } from "./relay/global-rollout.ts";
import { globalReconciler } from "./store/global-reconciler.ts";
import { trustDomainAuthorities } from "./trust/authority-rows.ts";

/** The global plane with its ports. */
export interface GlobalPlaneOptions extends GlobalPlaneParts {
  readonly keys: FederationKeys;
  /** Outlives a term. */
  readonly joinGuard: JoinGuard;
  readonly access: PlaneAccess;
  readonly attestation: Attestation;
  readonly audit: AuditTrail;
}

/** Opens the ports of the plane and keeps their certificates current. */
export async function serveFederation(options: GlobalPlaneOptions, term: GlobalTerm, signal: AbortSignal): Promise<void> {
  const { termStore, catalog, material } = term;
  const { config, keys, clock, logger, metrics, joinGuard, access, attestation, audit } = options;
  const { address } = config.listen;
  let isServing = false;
  const waits = new RolloutWaits({ clock, onRefused: () => metrics.rolloutWaitsRefused.inc() });
  const admission = new PlaneAdmission({ clock, onRefused: (refused) => metrics.adminOverloaded.inc(refused) });
  if (metrics.reports !== undefined) metrics.reports = { ...metrics.reports, rolloutWaiters: () => waits.count, admission };
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
      referred: { clusters: () => term.state.clusters.current, objects: () => term.state.publication.current.objects },
      isAway: () => termStore.away.current !== undefined,
      status: () => statusOf(term, keys, admission),
      standing: term.state.standing,
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
    admission,
    isReady: () => isServing && !signal.aborted,
    staleSinceMs: () => termStore.staleSinceMs,
    onError: (error, operationId) => logger.error("An operation failed.", { operationId, reason: describeError(error) }),
    onRefused: (code) => metrics.adminRefused.inc({ code }),
    clock,
  });
  isServing = true;
  const keeping = { failures: metrics.writeFailures, clock, logger };
  await using keptContext = new KeptWrite<string>({ ...keeping, what: "admin-context.json", write: async (server) => keys.writeAdminContext(server, clock.nowMs()) });
  await using keptReady = new KeptWrite<ReadyPorts>({ ...keeping, what: "ready.json", write: async (ports) => writeReadyFile(config.dataDir, ports) });
  await keptContext.put(hostPort(config.advertiseAddress, admin.port));
  await keptReady.put({ api: admin.port, join: joinServer.port });
  logger.info("The global plane serves.", { apiPort: admin.port, joinPort: joinServer.port });
  let served = material.current;
  for await (const current of material.changes(signal)) {
    if (current === served) continue;
    served = current;
    admin.replaceTls(adminTls(current));
    // The local administrator's certificate lives as long as ours.
    await keptContext.put(hostPort(config.advertiseAddress, admin.port));
  }
}

function adminTls({ svid, anchors }: TlsMaterial) {
  return { caPem: anchors.join(""), certificateChainPem: svid.certificateChainPem, privateKeyPem: svid.privateKeyPem };
}

function statusOf({ options, leader, termStore, epoch, standing, state, links, incarnation, names }: GlobalTerm, keys: FederationKeys, admission: PlaneAdmission): FederationStatus {
  const { clock } = options;
  return federationStatus(
    {
      federation: keys.trustDomain,
      epoch,
      isLeader: leader.certain.current,
      clusters: [...state.clusters.current.values()],
      relationships: state.relationships,
      standing: state.standing,
      exports: state.exports,
      links: linkStates(links, clock),
      names: names(),
      store: standing,
      storeAwaySinceMs: termStore.away.current?.sinceMs,
      unfollowed: termStore.unfollowed,
      writeFailures: options.metrics.writeFailures.current,
      backups: options.backups?.standing,
      engines: options.engines,
      apiOverloads: admission.overloads,
      authorities: [...keys.authoritiesAt(clock.nowMs()), ...trustDomainAuthorities(state.trustDomains)],
      ...(standing.state === "sound" ? { incarnation: planeIncarnation(incarnation) } : {}),
    },
    clock.nowMs(),
  );
}

function rolloutIn({ options, state, links }: GlobalTerm, subject: RolloutSubject): Rollout {
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
    const clockAheadMs = links.statuses.current.get(id)?.clockAheadMs;
    states.set(id, {
      heardAgeMs: heardAt === undefined ? undefined : clock.monotonicMs() - heardAt,
      clockAheadMs,
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
