import type { MemoryHub } from "#federation/bus/memory-bus.ts";
import { writeAtOnce } from "#federation/history/write-at-once-fixture.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { untilAborted } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { runClusterPlane } from "#services/cluster/cluster-plane.ts";
import { JwtKeys } from "#services/cluster/credentials/jwt-keys.ts";
import { createClusterMetrics } from "#services/cluster/metrics.ts";
import type { Serving } from "#services/cluster/serve-cluster.ts";
import { clusterReconciler } from "#services/cluster/store/cluster-reconciler.ts";
import { leadFederation, type GlobalTerm } from "#services/global/global-plane.ts";
import { createGlobalMetrics } from "#services/global/metrics.ts";
import { globalReconciler } from "#services/global/store/global-reconciler.ts";
import { clusterConfig, globalConfig } from "../harness/plane-configs.ts";
import { federationName, globalName, region, type CastCluster } from "./cast.ts";
import { keysOf, signerOf, type Credentials } from "./credentials.ts";
import { SimulatedPlane } from "./simulated-plane.ts";

/** What planes share, and what each has of its own. */
export interface Surroundings {
  readonly hub: MemoryHub;
  readonly random: Random;
  readonly credentials: Credentials;
  /** A plane's own clock. */
  readonly clockOf: (plane: string) => Clock;
}

/** The global plane, and what it shows while it serves. */
export class SimulatedGlobal {
  readonly plane: SimulatedPlane;
  readonly #term: { current: GlobalTerm | undefined };

  private constructor(plane: SimulatedPlane, term: { current: GlobalTerm | undefined }) {
    this.plane = plane;
    this.#term = term;
  }

  static async create({ hub, random, credentials, clockOf }: Surroundings): Promise<SimulatedGlobal> {
    const clock = clockOf(globalName);
    const metrics = createGlobalMetrics(clock);
    const shown: { current: GlobalTerm | undefined } = { current: undefined };
    const plane = await SimulatedPlane.create({
      name: globalName,
      hub,
      clock,
      random,
      lead: ({ store, bus, dataDir }, onServing) => {
        const config = globalConfig(federationName, dataDir);
        const parts = { config, keys: credentials.global, store, bus, metrics, lookup: noNames, writeFile: writeAtOnce, clock, random, logger: silentLogger };
        return (leader, signal) =>
          leadFederation(
            parts,
            async (term, inner) => {
              const { termStore, catalog, standing, links, verifyChain, epoch } = term;
              shown.current = term;
              onServing({ catalog, termStore, standing, withdrawals: links.withdrawals, store: { origin: globalOrigin, standing: termStore.life.standing, objects: catalog.objects, verifyChain, reconciler: globalReconciler(termStore.unguarded, epoch), beginEpoch: async (above, deeper) => await termStore.life.beginEpoch(above, deeper) } });
              await untilAborted(inner);
              shown.current = undefined;
              onServing(undefined);
            },
            leader,
            signal,
          );
      },
    });
    return new SimulatedGlobal(plane, shown);
  }

  get term(): GlobalTerm | undefined {
    return this.plane.served === undefined ? undefined : this.#term.current;
  }

  /** What it knows of those that it is told by. */
  get statuses(): ReadonlyMap<string, ReceiverStatus> | undefined {
    return this.term?.links.statuses.current;
  }
}

/** A cluster's plane, and what it shows while it serves. */
export class SimulatedCluster {
  readonly cast: CastCluster;
  readonly plane: SimulatedPlane;
  readonly #serving: { current: Serving | undefined };

  private constructor(cast: CastCluster, plane: SimulatedPlane, serving: { current: Serving | undefined }) {
    this.cast = cast;
    this.plane = plane;
    this.#serving = serving;
  }

  static async create(cast: CastCluster, { hub, random, credentials, clockOf }: Surroundings): Promise<SimulatedCluster> {
    const { name, trustDomain, isSigner } = cast;
    const clock = clockOf(name);
    const keySource = keysOf(credentials, name);
    const metrics = createClusterMetrics(name, clock, { planeCertificateMs: () => 0, intermediateMs: () => 0, jwtKeySinceMs: () => 0, closedRoles: () => [] });
    const shown: { current: Serving | undefined } = { current: undefined };
    const facts = { federation: credentials.global.trustDomain, cluster: name, region, trustDomain, federationRootPem: credentials.rootPem, federationAuthorityPem: credentials.global.authorityPem, apiAddresses: [] };
    const membership = { facts, svid: credentials.global.issuePlane("127.0.0.1", clock.nowMs()), federationBundle: credentials.global.bundle };
    const plane = await SimulatedPlane.create({
      name,
      hub,
      clock,
      random,
      lead: ({ store, bus, dataDir }, onServing) => {
        const config = clusterConfig({ cluster: name, dataDir, signer: isSigner ? { kind: "own", trustDomain } : { kind: "remote", tokenFile: "unused" } });
        const parts = { config, membership, keySource, jwtKeys: JwtKeys.open({ dataDir, clock, logger: silentLogger }), signer: isSigner ? signerOf(credentials, trustDomain) : undefined, store, bus, metrics, lookup: noNames, writeFile: writeAtOnce, clock, random, logger: silentLogger };
        return (leader, signal) =>
          runClusterPlane(
            parts,
            async (serving, inner) => {
              const { termStore, catalog, standing, withdrawals, verifyChain } = serving;
              shown.current = serving;
              onServing({ catalog, termStore, standing, withdrawals, store: { origin: name, standing: termStore.life.standing, objects: catalog.objects, verifyChain, reconciler: clusterReconciler({ cluster: name, catalog: termStore.unguarded, guarded: catalog, clock }), beginEpoch: async (above, deeper) => await termStore.life.beginEpoch(above, deeper) } });
              await untilAborted(inner);
              shown.current = undefined;
              onServing(undefined);
            },
            leader,
            signal,
          );
      },
    });
    return new SimulatedCluster(cast, plane, shown);
  }

  get serving(): Serving | undefined {
    return this.plane.served === undefined ? undefined : this.#serving.current;
  }

  /** What it knows of whom it is told by. */
  get statuses(): ReadonlyMap<string, ReceiverStatus> | undefined {
    return this.serving?.statuses.current;
  }
}

const noNames = async (): Promise<never> => await Promise.reject(new AtollError("ATOLL_NAME_UNRESOLVED", "nothing has a name here"));
