import type { AuditTrail } from "./audit.ts";
import { auditPageLimits, type globalRoutes } from "./plane-routes.ts";
import { implement, type Operation } from "./route.ts";

/** Shows `trail` by the route that both kinds of planes have for it. */
export function auditOperation(route: typeof globalRoutes.audit, trail: AuditTrail): Operation {
  return implement(route, async ({ query }) => {
    const { entries, hasMore } = await trail.read({ limit: query.limit ?? auditPageLimits.usual, ...(query.before === undefined ? {} : { before: query.before }) });
    return { body: { entries: [...entries], hasMore } };
  });
}
