import { join } from "node:path";
import { globalRoutes, joinTokenSeconds } from "#federation/admin-api/plane-routes.ts";
import { resourceOperations } from "#federation/admin-api/resource-routes.ts";
import { implement, type Operation } from "#federation/admin-api/route.ts";
import { openAdminServer } from "#federation/admin-api/server.ts";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import type { Bus } from "#federation/bus/bus.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import { createJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { sha256Hex } from "#federation/identity/key-pair.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Cluster, ExportedService } from "#federation/model/resource.ts";
import { pathOf } from "#federation/model/spiffe-id.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import { ensureEpoch, keepWitness } from "#federation/replication/shell/store-epoch.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { writeReadyFile } from "#federation/runtime/process.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { until, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { decodeSignedObject, openObject } from "#federation/wire/signed-object.ts";
import { clusterAdmission, regionAdmission, relationshipAdmission, trustDomainAdmission } from "./admin/admissions.ts";
import { recordApproval } from "./admin/approvals.ts";
import type { GlobalConfig } from "./config.ts";
import { FederationKeys, planeValidityMs } from "./federation-keys.ts";
import { joinCluster, pin } from "./join/join-cluster.ts";
import { openJoinServer } from "./join/join-server.ts";
import { ClusterLinks } from "./relay/cluster-links.ts";
import { federationStatus, type LinkState } from "./relay/federation-status.ts";
import { GlobalObjects, revisionOf, type GlobalResources } from "./relay/global-objects.ts";

export interface GlobalPlaneOptions {
  readonly config: GlobalConfig;
  readonly keys: FederationKeys;
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Leads the federation for one term: the admin API, the join port, and a link to each cluster, all over one fenced catalog. */
export async function leadFederation(options: GlobalPlaneOptions, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { config, keys, store, bus, clock, logger } = options;
  const catalog = new Catalog({
    store,
    clock,
    fence: () => [term.fence],
    onFault: ({ key, error }) => logger.error("A stored value cannot be read and is left out.", { key, reason: describeError(error) }),
  });
  const epochOptions = { catalog, witnessFile: join(config.dataDir, "witness.json"), clock, logger };
  const epoch = await ensureEpoch(epochOptions, signal);
  const views = {
    regions: catalog.resources("Region").view(),
    clusters: catalog.resources("Cluster").view(),
    trustDomains: catalog.resources("TrustDomain").view(),
    relationships: catalog.resources("Relationship").view(),
    policies: catalog.resources("TrafficPolicy").view(),
  };
  const received = catalog.objects.view();
  const resources: GlobalResources = {
    regions: views.regions.state,
    clusters: views.clusters.state,
    trustDomains: views.trustDomains.state,
    relationships: views.relationships.state,
    policies: views.policies.state,
  };
  const material = new WatchedValue(createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]));
  const signer = new WatchedValue(keys.issueSigner(clock.nowMs()));
  const publication = new WatchedValue<{ readonly revision: number; readonly objects: ReadonlyMap<string, OpenedObject> }>({ revision: 0, objects: new Map() });
  const clusters = new WatchedValue<ReadonlyMap<string, Cluster>>(new Map());
  const authority = pin(keys.authorityPem);
  const links = new ClusterLinks({
    federation: keys.trustDomain,
    epoch,
    term: term.number,
    bus,
    catalog,
    clusters,
    objects: publication,
    offerContext: () => ({ clusters: clusters.current, relationships: [...resources.relationships.current.items.values()].map((stored) => stored.value) }),
    signer: () => signer.current,
    verifyChain: createChainVerifier({
      federation: keys.trustDomain,
      authorityOf: (trustDomain) => {
        if (trustDomain === keys.trustDomain) return authority;
        const stored = resources.trustDomains.current.items.get(trustDomain);
        return stored === undefined ? undefined : pin(stored.value.spec.authorityCertificatePem);
      },
      clock,
    }),
    clock,
    random: systemRandom,
    logger,
  });
  const own = new GlobalObjects({ federation: keys.trustDomain, epoch, signer: () => signer.current });
  const publish = (): void => {
    if (![...Object.values(resources), received.state].every((state: Watched<{ readonly loaded: boolean }>) => state.current.loaded)) return;
    clusters.set(new Map([...resources.clusters.current.items].map(([id, stored]) => [id, stored.value])));
    const relayed = [...received.state.current.items.values()].map((stored) => openObject(decodeSignedObject(stored.value.signed)));
    const objects = new Map(own.of(resources));
    for (const opened of relayed) objects.set(objectId(opened.payload), opened);
    publication.set({ revision: Math.max(revisionOf(resources), received.state.current.revision), objects });
  };
  const status = (): FederationStatus =>
    federationStatus(
      {
        federation: keys.trustDomain,
        epoch,
        isLeader: true,
        clusters: [...clusters.current.values()],
        relationships: [...resources.relationships.current.items.values()].map((stored) => stored.value),
        exports: exportsOf(publication.current.objects),
        links: linkStates(links, clock),
      },
      clock.nowMs(),
    );

  await runTasks(
    [
      ...Object.values(views).map((view) => view.run),
      received.run,
      ...[...Object.values(resources), received.state].map((state: Watched<unknown>) => async (inner: AbortSignal) => {
        for await (const _ of state.changes(inner)) publish();
      }),
      async (inner) => {
        await until(publication, (current) => current.objects.size > 0 || resources.regions.current.loaded, inner);
        await links.run(inner);
      },
      (inner) => keepWitness(epochOptions, epoch, inner),
      (inner) => renewKeys({ keys, config, material, signer, clock }, inner),
      (inner) => serve({ options, catalog, material, status }, inner),
    ],
    signal,
  );
}

interface Serving {
  readonly options: GlobalPlaneOptions;
  readonly catalog: Catalog;
  readonly material: Watched<TlsMaterial>;
  readonly status: () => FederationStatus;
}

async function serve({ options, catalog, material, status }: Serving, signal: AbortSignal): Promise<void> {
  const { config, keys, clock, logger } = options;
  const { address } = config.listen;
  await using joinServer = await openJoinServer(
    {
      address,
      port: config.listen.joinPort,
      material,
      rootPem: keys.rootPem,
      join: (request, inner) => joinCluster({ keys, catalog, clock, logger }, request, inner),
      onError: (error) => logger.warn("A join was refused.", { reason: describeError(error) }),
    },
    signal,
  );
  await using admin = await openAdminServer({
    address,
    port: config.listen.apiPort,
    tls: adminTls(material.current),
    operations: globalOperations({ options, catalog, status, joinAddress: `${config.advertiseAddress}:${joinServer.port}` }),
    openApi: { title: "Atoll global control plane", version: "1.0.0" },
    authorize: ({ spiffeId }) => pathOf(spiffeId).startsWith("/atoll/admin/"),
    isReady: () => true,
    onError: (error, operationId) => logger.error("An operation failed.", { operationId, reason: describeError(error) }),
    clock,
  });
  keys.writeAdminContext(`${config.advertiseAddress}:${admin.port}`, clock.nowMs());
  writeReadyFile(config.dataDir, { api: admin.port, join: joinServer.port });
  logger.info("The global plane serves.", { apiPort: admin.port, joinPort: joinServer.port });
  for await (const current of material.changes(signal)) admin.replaceTls(adminTls(current));
}

function adminTls({ svid, anchors }: TlsMaterial) {
  return { caPem: anchors.join(""), certificateChainPem: svid.certificateChainPem, privateKeyPem: svid.privateKeyPem };
}

function globalOperations(parts: {
  readonly options: GlobalPlaneOptions;
  readonly catalog: Catalog;
  readonly status: () => FederationStatus;
  readonly joinAddress: string;
}): readonly Operation[] {
  const { options, catalog, status, joinAddress } = parts;
  const { keys, clock } = options;
  const [root = new Uint8Array()] = parseChainPem(keys.rootPem);
  return [
    ...resourceOperations("Region", catalog.resources("Region"), regionAdmission(catalog)),
    ...resourceOperations("Cluster", catalog.resources("Cluster"), clusterAdmission(catalog)),
    ...resourceOperations("TrustDomain", catalog.resources("TrustDomain"), trustDomainAdmission),
    ...resourceOperations("Relationship", catalog.resources("Relationship"), relationshipAdmission),
    ...resourceOperations("TrafficPolicy", catalog.resources("TrafficPolicy")),
    implement(globalRoutes.createJoinToken, async ({ body }, signal) => {
      const token = createJoinToken([joinAddress], sha256Hex(root));
      const lifeMs = (body.lifeSeconds ?? joinTokenSeconds.usual) * 1_000;
      const record = await catalog.joinTokens.create({ id: token.id, secret: Buffer.from(token.secret, "base64url"), purpose: body.purpose, lifeMs }, clock.nowMs(), signal);
      return { status: 201, body: { id: token.id, token: encodeJoinToken(token), purpose: body.purpose, expiresAt: new Date(record.expiresAtMs).toISOString() } };
    }),
    implement(
      globalRoutes.status,
      async () => ({ body: status() }),
      async function* watchStatus(_request, signal) {
        while (!signal.aborted) {
          yield { type: "status" as const, status: status() };
          await sleep(clock, statusIntervalMs, signal).catch(() => undefined);
        }
      },
    ),
    implement(globalRoutes.recordApproval, async ({ params, body }, signal) => {
      const relationship = await recordApproval(catalog, params.name, body, signal);
      return { body: { name: relationship.metadata.name, approvals: [...(relationship.status?.approvals ?? [])] } };
    }),
  ];
}

/** Between two states of a followed status. */
const statusIntervalMs = 1_000;

/** New keys at half of their life, while the old ones still count. */
async function renewKeys(
  parts: {
    readonly keys: FederationKeys;
    readonly config: GlobalConfig;
    readonly material: WatchedValue<TlsMaterial>;
    readonly signer: WatchedValue<ReturnType<FederationKeys["issueSigner"]>>;
    readonly clock: Clock;
  },
  signal: AbortSignal,
): Promise<void> {
  const { keys, config, material, signer, clock } = parts;
  for (;;) {
    await sleep(clock, planeValidityMs / 2, signal);
    material.set(createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]));
    signer.set(keys.issueSigner(clock.nowMs()));
  }
}

function exportsOf(objects: ReadonlyMap<string, OpenedObject>): readonly ExportedService[] {
  return [...objects.values()].filter(({ payload }) => payload.kind === "ServiceExport" && !payload.tombstone).map(({ payload }) => parseExportedService(payload.value));
}

function linkStates(links: ClusterLinks, clock: Clock): ReadonlyMap<string, LinkState> {
  const states = new Map<string, LinkState>();
  for (const id of new Set([...links.lags.current.keys(), ...links.statuses.current.keys()])) {
    const lag = links.lags.current.get(id);
    const heardAt = links.statuses.current.get(id)?.heardAtMonotonicMs;
    states.set(id, {
      heardAgeMs: heardAt === undefined ? undefined : clock.monotonicMs() - heardAt,
      sentSeq: lag?.publishedSeq ?? 0,
      acknowledgedSeq: lag?.acknowledgedSeq ?? 0,
      lagMs: lag?.behindMs ?? 0,
    });
  }
  return states;
}
