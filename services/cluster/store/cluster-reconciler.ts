import type { StoreReconciler } from "#federation/admin-api/store-operations.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { compareGenerations, objectId, type ObjectPayload } from "#federation/model/replicated-object.ts";
import { apiVersion, type Consumer, type ExportedService, type Service, type ServiceExport } from "#federation/model/resource.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { consumerOf } from "../exports/export-contents.ts";

export interface ClusterReconcilerOptions {
  readonly cluster: string;
  /** Writes whatever the store's standing. */
  readonly catalog: Catalog;
  /** Writes to a store that is sound alone. */
  readonly guarded: Catalog;
  readonly clock: Clock;
}

/**
 * Reads what a cluster itself said back from what the global plane holds of it: its exports, with the services behind them; and, whatever
 * is decided, what its trust domain approved or took back, so that no revocation is forgotten. Into a store that is sound it brings back
 * exports alone: a right that it does not hold has to be given again.
 */
export function clusterReconciler({ cluster, catalog, guarded, clock }: ClusterReconcilerOptions): StoreReconciler {
  return {
    async take(object, decision, signal) {
      const { payload } = object;
      const isExport = payload.kind === "ServiceExport";
      if (isExport && decision === "keep") return false;
      const id = objectId(payload);
      const stored = await catalog.objects.get(id, signal);
      if (stored !== undefined && compareGenerations(payload.generation, stored.value) <= 0) return false;
      if (isExport) await restoreExport(catalog, payload, signal);
      await catalog.objects.put(id, recordOf(object, clock.nowMs()), { ifRevision: stored?.revision ?? 0 }, signal);
      return true;
    },
    async refill({ payload }, signal) {
      if (payload.kind !== "ServiceExport" || payload.tombstone) return false;
      const stored = await guarded.objects.get(objectId(payload), signal);
      if (stored?.value.tombstone === true || (await guarded.resources("ServiceExport").get(payload.key, signal)) !== undefined) return false;
      const [service, serviceExport] = resourcesOf(payload);
      // What somebody has said anew counts more than what was said before.
      if ((await guarded.resources("Service").get(payload.key, signal)) === undefined) await guarded.resources("Service").apply(service, {}, signal);
      await guarded.resources("ServiceExport").apply(serviceExport, {}, signal);
      return true;
    },
    async drop(held, decision, signal) {
      if (decision === "keep") return [];
      const dropped: string[] = [];
      const { items } = await catalog.objects.list(signal);
      for (const { id, value, revision } of items) {
        if (value.origin !== cluster || value.kind !== "ServiceExport" || value.tombstone || held.has(id)) continue;
        const ops = [catalog.resources("ServiceExport").removeOp(value.key), catalog.objects.removeOp(id, { ifRevision: revision })];
        await catalog.commit(ops, signal);
        dropped.push(`ServiceExport ${value.key}`);
      }
      return dropped;
    },
  };
}

/** The resources that an export was made of, or their absence. What else a Service may say that no other cluster is told is not known, and stays as it is. */
async function restoreExport(catalog: Catalog, payload: ObjectPayload, signal: AbortSignal): Promise<void> {
  if (payload.tombstone) {
    await catalog.resources("ServiceExport").remove(payload.key, {}, signal);
    return;
  }
  const [service, serviceExport] = resourcesOf(payload);
  await catalog.resources("Service").apply(service, {}, signal);
  await catalog.resources("ServiceExport").apply(serviceExport, {}, signal);
}

function resourcesOf(payload: ObjectPayload): readonly [Service, ServiceExport] {
  const exported = parseExportedService(payload.value);
  const metadata = { namespace: exported.namespace, name: exported.name };
  return [
    { apiVersion, kind: "Service", metadata, spec: { ports: exported.ports, serviceAccounts: accountsOf(exported) } },
    { apiVersion, kind: "ServiceExport", metadata, spec: specOf(payload.audience.map(consumerOf), exported) },
  ];
}

/** Its own trust domain alone is what an export means that names nobody. */
function specOf(consumers: readonly Consumer[], { trustDomain }: ExportedService): { readonly consumers?: readonly Consumer[] } {
  const [only] = consumers;
  return consumers.length === 1 && only !== undefined && "trustDomain" in only && only.trustDomain === trustDomain ? {} : { consumers };
}

/** Of `spiffe://<trust domain>/ns/<namespace>/sa/<account>`. */
function accountsOf({ serverIdentities }: ExportedService): string[] {
  return serverIdentities.map((identity) => identity.slice(identity.lastIndexOf("/") + 1));
}
