import { isIP } from "node:net";
import { isClockApart, type InstanceClock } from "#federation/model/clock-offset.ts";
import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { InstanceOverload } from "#federation/model/overload.ts";
import type { InstanceUnwritten } from "#federation/model/instance-unwritten.ts";
import type { InstanceUnreached } from "#federation/model/unreached-cluster.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Service } from "#federation/model/resource.ts";
import { workloadId } from "#federation/model/service.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import type { ClusterSelf } from "../cluster-state.ts";

/** What the registry makes of a report. */
export type Registration = { readonly kind: "accepted"; readonly record: EndpointRecord } | { readonly kind: "refused"; readonly reason: string };

/** A label as DNS knows it; also bounds the length. */
const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Judges a report of the workload `identity` by what this cluster declares: an instance backs a service only when the
 * Service exists here, has the port, and names the caller's service account. Pure.
 */
export function judgeReport(options: {
  readonly report: SessionReport;
  readonly identity: SpiffeId;
  readonly self: ClusterSelf;
  /** By `namespace/name`. */
  readonly serviceOf: (name: string) => Service | undefined;
  readonly existing: EndpointRecord | undefined;
  readonly nowMs: number;
}): Registration {
  const { report, identity, self, serviceOf, existing, nowMs } = options;
  if (!labelPattern.test(report.instanceId)) return refused(notALabel);
  if (existing !== undefined && existing.identity !== identity) return refused(ownedByAnother(report.instanceId));
  // Whoever leaves need not prove again what it was: its Service may be gone before it.
  if (report.draining && existing !== undefined) return { kind: "accepted", record: existing };
  if (isIP(report.address) === 0) return refused("the address is not a literal IP address");
  if (report.inboundPort < 1 || report.inboundPort > 65_535) return refused("the inbound port is out of range");
  if (report.weight < 1 || report.weight > 65_535) return refused("the weight is not between 1 and 65535");
  for (const port of report.ports) {
    const name = `${port.namespace}/${port.service}`;
    const service = serviceOf(name);
    if (service === undefined) return refused(`there is no Service ${name} in cluster ${self.cluster}`);
    const accounts = service.spec.serviceAccounts.map((account) => workloadId(self.trustDomain, port.namespace, account));
    if (!accounts.includes(identity)) return refused(`${identity} may not back ${name}: its serviceAccounts do not name it`);
    if (!service.spec.ports.some((declared) => declared.port === port.port)) return refused(`Service ${name} has no port ${port.port}`);
  }
  return {
    kind: "accepted",
    record: {
      instanceId: report.instanceId,
      identity,
      ports: report.ports.map(({ namespace, service, port }) => ({ namespace, service, port })),
      address: report.address,
      inboundPort: report.inboundPort,
      ...(report.zone === "" ? {} : { zone: report.zone }),
      weight: report.weight,
      ready: report.ready,
      registeredAtMs: existing?.registeredAtMs ?? nowMs,
    },
  };
}

/** How far its clock is from ours, by its report, where that is too far. */
export function clocksIn({ instanceId, clockAheadSeconds = 0 }: SessionReport): readonly InstanceClock[] {
  const aheadMs = clockAheadSeconds * 1_000;
  return isClockApart(aheadMs) ? [{ instance: instanceId, aheadMs }] : [];
}

/**
 * Why the words of a proxy that backs nothing are not taken, or undefined. Nothing is declared for it: its certificate has said that it
 * is this cluster's, and `owner` is who goes by its name already. Pure.
 */
export function refusedObserver({ report, identity, owner }: { readonly report: SessionReport; readonly identity: SpiffeId; readonly owner: SpiffeId | undefined }): string | undefined {
  if (!labelPattern.test(report.instanceId)) return notALabel;
  return owner === undefined || owner === identity ? undefined : ownedByAnother(report.instanceId);
}

/** Why a name that somebody goes by is not given to anybody else. */
export function ownedByAnother(instanceId: string): string {
  return `the instance id ${instanceId} belongs to another identity`;
}

/** What a report says of the overload of its ports. Not part of the registration: it is neither stored nor routed by. */
export function overloadsIn(report: SessionReport): readonly InstanceOverload[] {
  return report.ports.flatMap(({ namespace, service, admits = 0, asked = 0 }) => (asked > admits ? [{ instance: report.instanceId, namespace, service, admits, asked }] : []));
}

/** Whom it does not reach, by its report; not part of the registration either. */
export function unreachedIn({ instanceId, unreached = [] }: SessionReport): readonly InstanceUnreached[] {
  return unreached.map(({ cluster, forMs }) => ({ instance: instanceId, cluster, forMs }));
}

/** That its disk does not take what it knows, by its report. */
export function unwrittenIn({ instanceId, unwritten = "" }: SessionReport): readonly InstanceUnwritten[] {
  return unwritten === "" ? [] : [{ instance: instanceId, reason: unwritten }];
}

const notALabel = "the instance id is not a lower-case DNS label";

function refused(reason: string): Registration {
  return { kind: "refused", reason };
}
