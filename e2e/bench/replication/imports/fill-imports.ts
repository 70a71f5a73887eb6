import { transactionOpsMax } from "#federation/catalog/catalog-access.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { CatalogOp } from "#federation/catalog/collection.ts";
import { clusterExportsMax } from "#federation/model/cluster-limits.ts";
import { encodeExportedService, encodePeerResource } from "#federation/model/parse/parse-resource.ts";
import { everyone, globalOrigin, objectId, type ObjectPayload, type OpenedObject } from "#federation/model/replicated-object.ts";
import { workloadId } from "#federation/model/service.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { signObject } from "#federation/wire/signed-object.ts";
import { BenchOrigins } from "../bench-origins.ts";
import { benchCluster, benchFederation, benchRegion, benchTrustDomain, clusterResource, serviceName } from "../bench-resources.ts";

/** The first clusters are the mesh's own. */
const firstOrigin = 2;

/** Fills the store at `path` with what a cluster's plane holds that imports `count` services: of as many clusters as are needed to export them. */
export async function fillImports(path: string, count: number, signal: AbortSignal): Promise<void> {
  await using store = await openSqliteStore({ path, clock: systemClock, logger: silentLogger });
  const catalog = new Catalog({ store, clock: systemClock, onFault: ({ error }) => { throw error; } });
  let ops: CatalogOp[] = [];
  for (const object of objectsOf(count)) {
    ops.push(catalog.objects.putOp(objectId(object.payload), recordOf(object, systemClock.nowMs())));
    if (ops.length < transactionOpsMax) continue;
    await catalog.commit(ops, signal);
    ops = [];
  }
  await catalog.commit(ops, signal);
}

function* objectsOf(count: number): Generator<OpenedObject> {
  const origins = new BenchOrigins();
  const common = { federation: benchFederation, generation: { epoch: 1, revision: 1 }, tombstone: false };
  const signed = (payload: Omit<ObjectPayload, keyof typeof common>): OpenedObject => signObject({ ...common, ...payload }, origins.signer(payload.origin));
  for (let at = 0, origin = firstOrigin; at < count; origin++) {
    const cluster = benchCluster(origin);
    yield signed({ origin: globalOrigin, originTrustDomain: benchFederation, kind: "Cluster", key: cluster, audience: [everyone], value: encodePeerResource(clusterResource(origin)) });
    for (let its = 0; its < clusterExportsMax && at < count; its++, at++) {
      const name = serviceName(at);
      const value = encodeExportedService({
        namespace: "web",
        name,
        trustDomain: benchTrustDomain,
        cluster,
        region: benchRegion,
        ports: [{ name: "http", port: 80, protocol: "http" }],
        serverIdentities: [workloadId(benchTrustDomain, "web", name)],
        gateways: [{ address: "127.0.0.1", port: 15_443 }],
        endpointsReady: 1,
        endpointsTotal: 1,
        asOfMs: systemClock.nowMs(),
      });
      yield signed({ origin: cluster, originTrustDomain: benchTrustDomain, kind: "ServiceExport", key: `web/${name}`, audience: [benchTrustDomain], value });
    }
  }
}
