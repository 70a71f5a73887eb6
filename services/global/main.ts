import { parseArgs } from "node:util";
import { openPlaneAudit } from "#federation/admin-api/audit-file.ts";
import { createPlaneAccess } from "#federation/admin-api/plane-access.ts";
import { openConfiguredBus } from "#federation/bus/configured-bus.ts";
import { keys as storeKeys } from "#federation/catalog/keys.ts";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { JoinGuard } from "#federation/identity/join-guard.ts";
import { createJwtVerifier } from "#federation/identity/jwt-verify.ts";
import { createTlsMaterial } from "#federation/identity/tls-options.ts";
import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { readConfigFile } from "#federation/runtime/config.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { runProcess } from "#federation/runtime/process.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { openConfiguredStore } from "#federation/store/configured-store.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import { openMetricsServer } from "#federation/telemetry/metrics-server.ts";
import { createPinoLogger } from "#federation/telemetry/pino-logger.ts";
import { globalConfigField, type GlobalConfig } from "./config.ts";
import { FederationKeys, initFederation, planeValidityMs } from "./federation-keys.ts";
import { leadFederation } from "./global-plane.ts";
import { createGlobalMetrics } from "./metrics.ts";

const usage = "usage: main.ts init --data DIR --federation NAME [--engine NAME[/MEMBER]:HOST[,HOST]]… [--client NAME]… [--server HOST:PORT] | main.ts run --config FILE";

runProcess(async (signal) => {
  const { positionals, values } = readArguments();
  if (positionals[0] === "init" && values.data !== undefined) init(values.data, values);
  else if (positionals[0] === "run" && values.config !== undefined) await run(readConfigFile(values.config, globalConfigField), signal);
  else throw new AtollError("ATOLL_CONFIG_INVALID", usage);
});

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { data: { type: "string" }, federation: { type: "string" }, config: { type: "string" }, engine: { type: "string", multiple: true }, client: { type: "string", multiple: true }, server: { type: "string" } },
    });
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", usage, { cause: error });
  }
}

interface InitOptions {
  readonly federation?: string;
  readonly engine?: readonly string[];
  readonly client?: readonly string[];
  /** Where clients find the global plane; as the administrator's context says unless given. */
  readonly server?: string;
}

/** Makes a federation, or certificates for engines and machine clients of one that is there. */
function init(dataDir: string, { federation, engine: engines = [], client: clients = [], server }: InitOptions): void {
  const nowMs = systemClock.nowMs();
  if (federation !== undefined) initFederation(dataDir, federation, nowMs);
  else if (engines.length === 0 && clients.length === 0) throw new AtollError("ATOLL_CONFIG_INVALID", usage);
  if (engines.length === 0 && clients.length === 0) return;
  const keys = FederationKeys.load(dataDir);
  for (const engine of engines) {
    const [, name, member, hosts] = /^([a-z0-9][a-z0-9-]{0,62})(?:\/([a-z0-9][a-z0-9-]{0,62}))?:(.+)$/.exec(engine) ?? [];
    if (name === undefined || hosts === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `--engine ${engine}: expected NAME[/MEMBER]:HOST[,HOST]`);
    keys.writeEngine(name, member ?? name, hosts.split(","), nowMs);
  }
  for (const name of clients) keys.writeClientContext(name, nowMs, server);
}

async function run(config: GlobalConfig, signal: AbortSignal): Promise<void> {
  const logger = createPinoLogger({ level: config.logLevel, fields: { service: "atoll-global", federation: config.federation } });
  const keys = FederationKeys.load(config.dataDir);
  if (keys.trustDomain !== config.federation) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `federation: the data directory is that of ${keys.trustDomain}, not of ${config.federation}`);
  }
  const clock = systemClock;
  // Engines are spoken to under a certificate of their own, made anew with each renewal.
  let material = createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]);
  const toEngine = () => ({ caPem: material.anchors.join(""), certificatePem: material.svid.certificateChainPem, privateKeyPem: material.svid.privateKeyPem });
  let engineTls = toEngine();
  const metrics = createGlobalMetrics(clock);
  const joinGuard = new JoinGuard(clock);
  const access = createPlaneAccess(config.access, (tokens) => createJwtVerifier(tokens, clock));
  const attestation = createAttestation(config.attestation, clock);
  await using audit = await openPlaneAudit({ dataDir: config.dataDir, failures: metrics.auditFailures, logger });
  await using _metricsServer = await openMetricsServer(metrics.registry, "127.0.0.1", config.listen.metricsPort);
  const common = { tls: () => engineTls, clock, random: systemRandom, logger };
  await using store = await openConfiguredStore({ ...common, config: config.store, dataDir: config.dataDir, keyPrefix: "/atoll/global" });
  await using bus = await openConfiguredBus({
    ...common,
    config: config.bus,
    name: "global",
    observer: { dropped: (count) => metrics.busDropped.inc(count), reconnected: () => metrics.busReconnected.inc() },
  });
  await runTasks(
    [
      (inner) =>
        runAsLeader(
          store,
          { key: storeKeys.leader, id: `global-${keepInstanceId(config.dataDir)}`, clock, random: systemRandom, logger },
          (term, termSignal) => leadFederation({ config, keys, store, bus, metrics, joinGuard, access, attestation, audit, lookup: createDnsLookup(), clock, random: systemRandom, logger }, term, termSignal),
          inner,
        ),
      async (inner) => {
        for (;;) {
          await sleep(clock, planeValidityMs / 2, inner);
          material = createTlsMaterial(keys.issuePlane(config.advertiseAddress, clock.nowMs()), [keys.bundle]);
          engineTls = toEngine();
        }
      },
    ],
    signal,
  );
}
