import { parseArgs } from "node:util";
import { openPlaneAudit } from "#federation/admin-api/audit-file.ts";
import { createPlaneAccess } from "#federation/admin-api/plane-access.ts";
import { busLooks } from "#federation/bus/configured-inspection.ts";
import { openConfiguredBus } from "#federation/bus/configured-bus.ts";
import { keys as storeKeys } from "#federation/catalog/keys.ts";
import { addBackupMetrics } from "#federation/history/backup-metrics.ts";
import { BackupSchedule } from "#federation/history/backup-schedule.ts";
import { printRestored, restoreArguments, restoreArgumentsOf, restoreUsage, type RestoreArguments } from "#federation/history/restore-arguments.ts";
import { restoreFile } from "#federation/history/restore-file.ts";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { JoinGuard } from "#federation/identity/join-guard.ts";
import { isJoinable, openVoucher, type JoinSource } from "#federation/identity/join-voucher.ts";
import { createJwtVerifier } from "#federation/identity/jwt-verify.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createTlsMaterial } from "#federation/identity/tls-options.ts";
import { planeKeyPrefix } from "#federation/model/plane-store.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { readConfigFile } from "#federation/runtime/config.ts";
import { engineAddresses } from "#federation/runtime/engine-config.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { runProcess } from "#federation/runtime/process.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { storeLooks } from "#federation/store/configured-inspection.ts";
import { openConfiguredStore } from "#federation/store/configured-store.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { CertificateWatch } from "#federation/telemetry/certificate-watch.ts";
import { addEngineMetrics, EngineWatch } from "#federation/telemetry/engine-watch.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import { createPinoLogger } from "#federation/telemetry/pino-logger.ts";
import { openBundleEndpoint } from "./bundle-endpoint/open-bundle-endpoint.ts";
import { runClusterPlane } from "./cluster-plane.ts";
import { clusterConfigField, type ClusterConfig } from "./config.ts";
import { ClusterKeySource } from "./credentials/cluster-credentials.ts";
import { remoteCertify } from "./credentials/enrolment.ts";
import { JwtKeys } from "./credentials/jwt-keys.ts";
import { closedRoles } from "./credentials/key-roles.ts";
import { PlaneCertificate } from "./credentials/plane-certificate.ts";
import { joinFederation, loadMembership, type PlaneMembership } from "./credentials/plane-membership.ts";
import { SignerRole } from "./credentials/signer-role.ts";
import { JoinPort } from "./join-port.ts";
import { createClusterMetrics } from "./metrics.ts";
import { serveCluster } from "./serve-cluster.ts";

const usage = `usage: main.ts join --config FILE | main.ts run --config FILE | main.ts ${restoreUsage}`;

runProcess(async (signal) => {
  const { command, config, restore } = readArguments();
  const logger = createPinoLogger({ level: config.logLevel, fields: { service: "atoll-cluster", clusterId: config.cluster } });
  const signer = config.signer.kind === "own" ? SignerRole.open({ trustDomain: config.signer.trustDomain, dataDir: config.dataDir, clock: systemClock, logger }) : undefined;
  const membership = await ensureMembership(config, signer, logger, signal);
  if (command === "run") await run({ config, signer, membership, logger }, signal);
  if (command === "restore") await runRestore({ config, membership, logger, restore }, signal);
});

interface Arguments {
  readonly command: "join" | "run" | "restore";
  readonly config: ClusterConfig;
  readonly restore: RestoreArguments;
}

function readArguments(): Arguments {
  try {
    const { positionals, values } = parseArgs({ allowPositionals: true, options: { config: { type: "string" }, ...restoreArguments } });
    const [command] = positionals;
    const isKnown = command === "join" || command === "run" || (command === "restore" && values.from !== undefined);
    if (isKnown && values.config !== undefined) return { command, config: readConfigFile(values.config, clusterConfigField), restore: restoreArgumentsOf(values) };
  } catch (error) {
    if (error instanceof AtollError) throw error;
    throw new AtollError("ATOLL_CONFIG_INVALID", usage, { cause: error });
  }
  throw new AtollError("ATOLL_CONFIG_INVALID", usage);
}

async function ensureMembership(config: ClusterConfig, signer: SignerRole | undefined, logger: Logger, signal: AbortSignal): Promise<PlaneMembership> {
  const present = await loadMembership(config.dataDir);
  const isExpired = present !== undefined && present.svid.notAfterMs <= systemClock.nowMs();
  const canJoin = isJoinable(globalSource(config));
  // An expired certificate cannot renew itself: only a new token, or evidence, helps then.
  if (present !== undefined && !(isExpired && canJoin)) return present;
  if (!canJoin) throw new AtollError("ATOLL_CONFIG_INVALID", "globalJoinTokenFile: this plane has not joined yet and needs a token, or globalJoinAttest");
  const joined = await joinFederation(joiningOf(config, signer), signal);
  if (signer !== undefined && signer.trustDomain !== joined.facts.trustDomain) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `signer.trustDomain: the Cluster belongs to ${joined.facts.trustDomain}, the signer is that of ${signer.trustDomain}`);
  }
  logger.info("Joined the federation.", { federation: joined.facts.federation, regionId: joined.facts.region, trustDomain: joined.facts.trustDomain });
  return joined;
}

function joiningOf(config: ClusterConfig, signer: SignerRole | undefined) {
  return { dataDir: config.dataDir, cluster: config.cluster, source: globalSource(config), statement: signer?.statement(), clock: systemClock };
}

interface Running {
  readonly config: ClusterConfig;
  readonly signer: SignerRole | undefined;
  readonly membership: PlaneMembership;
  readonly logger: Logger;
}

async function run({ config, signer, membership, logger }: Running, signal: AbortSignal): Promise<void> {
  const clock = systemClock;
  const random = systemRandom;
  const certify =
    signer === undefined
      ? remoteCertify({ cluster: config.cluster, openVoucher: () => openVoucher(signerSource(config)), federationBundle: membership.federationBundle, clock })
      : async (csrs: { readonly intermediate: Uint8Array; readonly signing: Uint8Array }) => signer.current().certify(config.cluster, csrs.intermediate, csrs.signing, clock.nowMs());
  const joiningKey = signer !== undefined ? {} : ({ joiningKey: signerSource(config).attest === undefined ? "until enrolled" : "lasting" } as const);
  const keySource = await ClusterKeySource.open({ dataDir: config.dataDir, trustDomain: membership.facts.trustDomain, certify, ...joiningKey, svidMs: config.svidSeconds * 1_000, onFailure: () => metrics.renewalFailures.inc({ certificate: "intermediate" }), clock, random, logger }, signal);
  const certificate = new PlaneCertificate({
    membership,
    ...(config.globalJoinAttest === undefined ? {} : { rejoin: (inner: AbortSignal) => joinFederation(joiningOf(config, signer), inner) }),
    dataDir: config.dataDir,
    onFailure: () => metrics.renewalFailures.inc({ certificate: "plane" }),
    clock,
    random,
    logger,
  });
  const planeSvid = certificate.svid;
  const jwtKeys = JwtKeys.open({ dataDir: config.dataDir, clock, logger });
  const metrics = createClusterMetrics(config.cluster, clock, {
    planeCertificateMs: () => planeSvid.current.notAfterMs,
    intermediateMs: () => keySource.keys.current.issuer?.notAfterMs ?? 0,
    closedRoles: () => closedRoles({ signer, keySource }),
    jwtKeySinceMs: () => jwtKeys.sinceMs,
  });
  const joinGuard = new JoinGuard(clock);
  const access = createPlaneAccess(config.access, (tokens) => createJwtVerifier(tokens, clock));
  const attestation = createAttestation(config.attestation, clock);
  await using audit = await openPlaneAudit({ dataDir: config.dataDir, failures: metrics.auditFailures, writeFailures: metrics.writeFailures, clock, logger });
  const engineTls = engineTlsOf(planeSvid, membership.federationBundle);
  await using _metricsServer = await openMetricsServer(metrics.registry, "127.0.0.1", config.listen.metricsPort);
  const common = { tls: engineTls, clock, random, logger };
  await using joinPort = await JoinPort.open({ config, membership, planeSvid, keys: keySource.keys, metrics, clock, logger }, signal);
  await using bundleEndpoint = await openBundleEndpoint({ config, trustDomain: membership.facts.trustDomain, keys: keySource.keys, metrics, clock, random, logger });
  await using store = await openConfiguredStore({ ...common, refused: metrics.storeCommitsRefused, config: config.store, dataDir: config.dataDir, keyPrefix: planeKeyPrefix(config.cluster) });
  await using bus = await openConfiguredBus({
    ...common,
    config: config.bus,
    name: config.cluster,
    observer: { dropped: (count) => metrics.busDropped.inc(count), reconnected: () => metrics.busReconnected.inc() },
  });
  const backups = config.backups === undefined ? undefined : new BackupSchedule({ config: config.backups, federation: membership.facts.federation, plane: config.cluster, dataDir: config.dataDir, clock, logger });
  if (backups !== undefined) addBackupMetrics(metrics.registry, () => backups.standing, clock);
  const certificates = new CertificateWatch({ addresses: engineAddresses(config), tls: common.tls, clock });
  const engines = new EngineWatch([...storeLooks({ ...common, config: config.store, keyPrefix: planeKeyPrefix(config.cluster) }), ...busLooks({ ...common, config: config.bus, name: config.cluster })], { clock, logger, certificates });
  addEngineMetrics(metrics.registry, engines);
  const options = { config, membership, planeSvid, keySource, jwtKeys, signer, store, backups, engines, bus, metrics, joinPort, bundleEndpoint, joinGuard, access, attestation, audit, lookup: createDnsLookup(), clock, random, logger };
  await runTasks(
    [
      (inner) => engines.run(inner),
      (inner) => keySource.run(inner),
      ...(signer === undefined ? [] : [(inner: AbortSignal) => signer.run(inner)]),
      (inner) => certificate.run(inner),
      (inner) => joinPort.run(inner),
      ...(bundleEndpoint === undefined ? [] : [(inner: AbortSignal) => bundleEndpoint.run(inner)]),
      (inner) =>
        runAsLeader(
          store,
          { key: storeKeys.leader, id: `${config.cluster}-${keepInstanceId(config.dataDir)}`, clock, random, logger },
          (term, termSignal) => runClusterPlane(options, (serving, inner) => serveCluster(options, serving, inner), term, termSignal),
          inner,
        ),
    ],
    signal,
  );
}

async function runRestore({ config, membership, logger, restore }: Pick<Running, "config" | "membership" | "logger"> & Pick<Arguments, "restore">, signal: AbortSignal): Promise<void> {
  const { federation } = membership.facts;
  const common = { clock: systemClock, random: systemRandom, logger };
  const tls = engineTlsOf(new WatchedValue(membership.svid), membership.federationBundle);
  const openStore = async (): Promise<Store> => await openConfiguredStore({ ...common, tls, config: config.store, dataDir: config.dataDir, keyPrefix: planeKeyPrefix(config.cluster) });
  printRestored(await restoreFile({ ...common, ...restore, federation, plane: config.cluster, dataDir: config.dataDir, openStore }, signal));
}

/** What engines are shown. The same object until the certificate rotates: adapters connect anew when it is another. */
function engineTlsOf(svid: Watched<X509Svid>, federationBundle: TrustBundle): () => { readonly caPem: string; readonly certificatePem: string; readonly privateKeyPem: string } {
  let made: { readonly svid: X509Svid; readonly tls: ReturnType<typeof tlsOf> } | undefined;
  const tlsOf = (current: X509Svid) => {
    const { anchors } = createTlsMaterial(current, [federationBundle]);
    return { caPem: anchors.join(""), certificatePem: current.certificateChainPem, privateKeyPem: current.privateKeyPem };
  };
  return () => {
    const { current } = svid;
    if (made?.svid !== current) made = { svid: current, tls: tlsOf(current) };
    return made.tls;
  };
}

function globalSource({ globalJoinTokenFile, globalJoinAttest }: ClusterConfig): JoinSource {
  return { tokenFile: globalJoinTokenFile, ...(globalJoinAttest === undefined ? {} : { attest: globalJoinAttest }) };
}

function signerSource({ signer }: ClusterConfig): JoinSource {
  if (signer.kind === "own") return { tokenFile: "" };
  return { tokenFile: signer.tokenFile, ...(signer.attest === undefined ? {} : { attest: signer.attest }) };
}
