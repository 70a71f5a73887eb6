import type { StoreReconciler } from "#federation/admin-api/store-operations.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { compareGenerations, objectId, type ObjectPayload } from "#federation/model/replicated-object.ts";
import { apiVersion, type Consumer, type ExportedService } from "#federation/model/resource.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { consumerOf } from "../exports/export-contents.ts";

/**
 * Reads what a cluster itself said back from what the global plane holds of it: its exports, with the services behind them; and, whatever
 * is decided, what its trust domain approved or took back, so that no revocation is forgotten. `catalog` writes whatever the store's standing.
 */
export function clusterReconciler(cluster: string, catalog: Catalog, clock: Clock): StoreReconciler {
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
  const exported = parseExportedService(payload.value);
  const metadata = { namespace: exported.namespace, name: exported.name };
  await catalog.resources("Service").apply({ apiVersion, kind: "Service", metadata, spec: { ports: exported.ports, serviceAccounts: accountsOf(exported) } }, {}, signal);
  await catalog.resources("ServiceExport").apply({ apiVersion, kind: "ServiceExport", metadata, spec: specOf(payload.audience.map(consumerOf), exported) }, {}, signal);
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
