import type { EndpointRecord } from "#federation/model/endpoint.ts";
import { removalRatioMax } from "#federation/model/removal-bounds.ts";

/**
 * Which of `candidates` may be removed though nobody asked for it (their sessions just stopped). What is held back
 * stays known as unknown: an empty list is more often the sign of a broken observer than of a dead service.
 * Deregistration by the owner does not pass through here.
 */
export function releasedByBrake(candidates: readonly string[], records: readonly EndpointRecord[]): readonly string[] {
  const allowance = new Map<string, number>();
  const totals = new Map<string, number>();
  for (const record of records) for (const service of servicesOf(record)) totals.set(service, (totals.get(service) ?? 0) + 1);
  for (const [service, total] of totals) allowance.set(service, Math.min(Math.floor(total * removalRatioMax), total - 1));

  const byId = new Map(records.map((record) => [record.instanceId, record]));
  return candidates.toSorted().filter((id) => {
    const record = byId.get(id);
    if (record === undefined) return true;
    const services = servicesOf(record);
    if (services.some((service) => (allowance.get(service) ?? 0) < 1)) return false;
    for (const service of services) allowance.set(service, (allowance.get(service) ?? 0) - 1);
    return true;
  });
}

function servicesOf(record: EndpointRecord): readonly string[] {
  return [...new Set(record.ports.map((port) => `${port.namespace}/${port.service}`))];
}
