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
import { createJwtVerifier } from "#federation/identity/jwt-verify.ts";
import { createTlsMaterial } from "#federation/identity/tls-options.ts";
import { parseLabel } from "#federation/model/names.ts";
import { planeKeyPrefix } from "#federation/model/plane-store.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { readConfigFile } from "#federation/runtime/config.ts";
import { engineAddresses } from "#federation/runtime/engine-config.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import type { HandshakeTls } from "#federation/runtime/peer-certificate.ts";
import { runProcess } from "#federation/runtime/process.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { storeLooks } from "#federation/store/configured-inspection.ts";
import { openConfiguredStore } from "#federation/store/configured-store.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { addAuthorityEnds } from "#federation/telemetry/authority-metrics.ts";
import { CertificateWatch } from "#federation/telemetry/certificate-watch.ts";
import { addEngineMetrics, EngineWatch } from "#federation/telemetry/engine-watch.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import { createPinoLogger } from "#federation/telemetry/pino-logger.ts";
import { globalConfigField, type GlobalConfig } from "./config.ts";
import { FederationKeys, initFederation, planeValidityMs } from "./federation-keys.ts";
import { atHalfLife } from "./half-life.ts";
import { renewIssuing, type IssuingOutcome } from "./issuing-renewal.ts";
import { leadFederation } from "./global-plane.ts";
import { serveFederation } from "./serve-federation.ts";
import { createGlobalMetrics } from "./metrics.ts";

/** Of engines: one of less would be renewed all the time. */
const engineLifeMsMin = 10_000;
const usage = `usage: main.ts init --data DIR --federation NAME [--engine NAME[/MEMBER]:HOST[,HOST]]… [--etcd-administrator PLANE[,PLANE]] [--engine-seconds N] [--engines-dir DIR] [--client NAME]… [--server HOST:PORT] | main.ts renew-issuing --data DIR [--root-key FILE] [--force] | main.ts run --config FILE | main.ts ${restoreUsage}`;

runProcess(async (signal) => {
  const { positionals, values } = readArguments();
  if (positionals[0] === "init" && values.data !== undefined) init(values.data, values);
  else if (positionals[0] === "renew-issuing" && values.data !== undefined) printIssuing(renewIssuing({ dataDir: values.data, rootKeyFile: values["root-key"], isForced: values.force, nowMs: systemClock.nowMs() }));
  else if (positionals[0] === "run" && values.config !== undefined) await run(readConfigFile(values.config, globalConfigField), signal);
  else if (positionals[0] === "restore" && values.config !== undefined && values.from !== undefined) await restore(readConfigFile(values.config, globalConfigField), restoreArgumentsOf(values), signal);
  else throw new AtollError("ATOLL_CONFIG_INVALID", usage);
});

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { data: { type: "string" }, federation: { type: "string" }, config: { type: "string" }, engine: { type: "string", multiple: true }, "etcd-administrator": { type: "string" }, "engine-seconds": { type: "string" }, "engines-dir": { type: "string" }, client: { type: "string", multiple: true }, server: { type: "string" }, "root-key": { type: "string" }, force: { type: "boolean" }, ...restoreArguments },
    });
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", usage, { cause: error });
  }
}

interface InitOptions {
  readonly federation?: string;
  readonly engine?: readonly string[];
  /** Has a certificate made for whoever tells etcd which planes may use it, with the planes that have an etcd of their own. */
  readonly "etcd-administrator"?: string;
  /** How long certificates of engines and of etcd's administrator live; 30 days unless told, and at most. */
  readonly "engine-seconds"?: string;
  /** Where files of engines are, for those whose regions are kept apart; `engines` below the keys unless told. */
  readonly "engines-dir"?: string;
  readonly client?: readonly string[];
  /** Where clients find the global plane; as the administrator's context says unless given. */
  readonly server?: string;
}

/** Makes a federation, or certificates for engines and machine clients of one that is there. */
function init(dataDir: string, { federation, engine: engines = [], "etcd-administrator": administered, "engine-seconds": engineSeconds, "engines-dir": enginesDir, client: clients = [], server }: InitOptions): void {
  const nowMs = systemClock.nowMs();
  const isMore = engines.length > 0 || administered !== undefined || clients.length > 0;
  if (federation !== undefined) initFederation(dataDir, federation, nowMs);
  else if (!isMore) throw new AtollError("ATOLL_CONFIG_INVALID", usage);
  if (!isMore) return;
  const validityMs = engineSeconds === undefined ? planeValidityMs : Number(engineSeconds) * 1_000;
  if (!(validityMs >= engineLifeMsMin && validityMs <= planeValidityMs)) throw new AtollError("ATOLL_CONFIG_INVALID", `--engine-seconds ${engineSeconds}: expected ${engineLifeMsMin / 1_000} to ${planeValidityMs / 1_000}`);
  const keys = FederationKeys.load(dataDir, enginesDir === undefined ? {} : { enginesDir });
  for (const engine of engines) {
    const [, name, member, hosts] = /^([a-z0-9][a-z0-9-]{0,62})(?:\/([a-z0-9][a-z0-9-]{0,62}))?:(.+)$/.exec(engine) ?? [];
    if (name === undefined || hosts === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `--engine ${engine}: expected NAME[/MEMBER]:HOST[,HOST]`);
    keys.writeEngine(name, member ?? name, hosts.split(","), nowMs, validityMs);
  }
  if (administered !== undefined) keys.writeEtcdAdministrator(administered.split(",").map((plane) => parseLabel(plane, "plane")), nowMs, validityMs);
  for (const name of clients) keys.writeClientContext(name, nowMs, server);
}

/** One line on standard output, for whoever has started the program. */
function printIssuing(outcome: IssuingOutcome): void {
  process.stdout.write(`issuing ${JSON.stringify(outcome)}\n`);
}

function loadKeys(config: GlobalConfig, logger: Logger): FederationKeys {
  const onIssuingRefused = (reason: string): void => logger.error("The issuing certificate that was written cannot be used; the one before goes on.", { reason });
  const keys = FederationKeys.load(config.dataDir, { onIssuingRefused });
  if (keys.trustDomain === config.federation) return keys;
  throw new AtollError("ATOLL_CONFIG_INVALID", `federation: the data directory is that of ${keys.trustDomain}, not of ${config.federation}`);
}

/** What engines are shown: a certificate of their own, made anew with each renewal. */
function engineTlsOf(keys: FederationKeys, config: GlobalConfig): HandshakeTls & { readonly notAfterMs: number } {
  const { anchors, svid } = createTlsMaterial(keys.issuePlane(config.advertiseAddress, systemClock.nowMs()), [keys.bundle]);
  return { caPem: anchors.join(""), certificatePem: svid.certificateChainPem, privateKeyPem: svid.privateKeyPem, notAfterMs: svid.notAfterMs };
}

function loggerOf(config: GlobalConfig): Logger {
  return createPinoLogger({ level: config.logLevel, fields: { service: "atoll-global", federation: config.federation } });
}

async function restore(config: GlobalConfig, asked: RestoreArguments, signal: AbortSignal): Promise<void> {
  const { dataDir, federation } = config;
  const logger = loggerOf(config);
  const engineTls = engineTlsOf(loadKeys(config, logger), config);
  const common = { clock: systemClock, random: systemRandom, logger };
  const openStore = async (): Promise<Store> => await openConfiguredStore({ ...common, tls: () => engineTls, config: config.store, dataDir, keyPrefix: planeKeyPrefix(globalOrigin) });
  printRestored(await restoreFile({ ...common, ...asked, federation, plane: globalOrigin, dataDir, openStore }, signal));
}

async function run(config: GlobalConfig, signal: AbortSignal): Promise<void> {
  const logger = loggerOf(config);
  const keys = loadKeys(config, logger);
  const clock = systemClock;
  let engineTls = engineTlsOf(keys, config);
  const metrics = createGlobalMetrics(clock);
  const joinGuard = new JoinGuard(clock);
  const access = createPlaneAccess(config.access, (tokens) => createJwtVerifier(tokens, clock));
  const attestation = createAttestation(config.attestation, clock);
  await using audit = await openPlaneAudit({ dataDir: config.dataDir, failures: metrics.auditFailures, writeFailures: metrics.writeFailures, clock, logger });
  await using _metricsServer = await openMetricsServer(metrics.registry, "127.0.0.1", config.listen.metricsPort);
  const common = { tls: () => engineTls, clock, random: systemRandom, logger };
  await using store = await openConfiguredStore({ ...common, refused: metrics.storeCommitsRefused, config: config.store, dataDir: config.dataDir, keyPrefix: planeKeyPrefix(globalOrigin) });
  await using bus = await openConfiguredBus({
    ...common,
    config: config.bus,
    name: "global",
    observer: { dropped: (count) => metrics.busDropped.inc(count), reconnected: () => metrics.busReconnected.inc() },
  });
  const backups = config.backups === undefined ? undefined : new BackupSchedule({ config: config.backups, federation: keys.trustDomain, plane: globalOrigin, dataDir: config.dataDir, clock, logger });
  if (backups !== undefined) addBackupMetrics(metrics.registry, () => backups.standing, clock);
  const certificates = new CertificateWatch({ addresses: engineAddresses(config), tls: common.tls, clock });
  const engines = new EngineWatch([...storeLooks({ ...common, config: config.store, keyPrefix: planeKeyPrefix(globalOrigin) }), ...busLooks({ ...common, config: config.bus, name: "global" })], { clock, logger, certificates });
  addEngineMetrics(metrics.registry, engines);
  addAuthorityEnds(metrics.registry, () => [...keys.authoritiesAt(clock.nowMs()), ...(metrics.reports?.authorities() ?? [])]);
  const options = { config, keys, store, backups, engines, bus, metrics, joinGuard, access, attestation, audit, lookup: createDnsLookup(), clock, random: systemRandom, logger };
  await runTasks(
    [
      (inner) => engines.run(inner),
      (inner) =>
        runAsLeader(
          store,
          { key: storeKeys.leader, id: `global-${keepInstanceId(config.dataDir)}`, clock, random: systemRandom, logger },
          (term, termSignal) => leadFederation(options, (parts, deeper) => serveFederation(options, parts, deeper), term, termSignal),
          inner,
        ),
      (inner) => atHalfLife({ notAfterMs: () => engineTls.notAfterMs, renew: () => void (engineTls = engineTlsOf(keys, config)), clock }, inner),
    ],
    signal,
  );
}
