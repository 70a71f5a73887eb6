import type { AuditEntry } from "#federation/admin-api/audit.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { CommandContext } from "../context.ts";
import { printRows } from "../output.ts";
import type { Column } from "../table.ts";
import { withFederation } from "./federation.ts";

const columns: readonly Column<AuditEntry>[] = [
  { title: "TIME", value: (entry) => entry.time },
  { title: "WHO", value: (entry) => entry.caller.name },
  { title: "OPERATION", value: (entry) => (entry.dryRun ? `${entry.operationId} (dry run)` : entry.operationId) },
  { title: "WHAT", value: whatOf },
  { title: "OUTCOME", value: (entry) => (entry.code === undefined ? entry.outcome : `${entry.outcome}: ${entry.code}`) },
  { title: "FIELDS", value: (entry) => (entry.fields ?? []).join(", ") },
];

/** `atoll audit`: the newest entries of one plane's trail. */
export async function runAudit(context: CommandContext, options: { readonly cluster?: string; readonly limit: number }): Promise<number> {
  const { limit, cluster } = options;
  const { entries, hasMore } = await withFederation(context, async ({ planes }) =>
    cluster === undefined
      ? (await planes.global().call(globalRoutes.audit, { query: { limit } }, context.signal)).body
      : (await planes.cluster(cluster).call(clusterRoutes.audit, { query: { limit } }, context.signal)).body,
  );
  printRows(context, entries, columns);
  if (hasMore) context.terminal.note(`There are older ones: --limit ${Math.min(1_000, limit * 2)} shows more.`);
  return 0;
}

function whatOf({ kind, id, path }: AuditEntry): string {
  return kind === undefined ? path : `${kind} ${id ?? ""}`;
}
