import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { clockWords, isClockApart } from "#federation/model/clock-offset.ts";

/** What a clock that is wrong does, and what to do about it. */
export const clockAdvice = "certificates are judged by both: have both machines follow the same time (chrony, systemd-timesyncd)";

/** The planes whose clocks are apart. Where all clusters are so in the same direction, it is the global plane's that is wrong. */
export function planeClockProblems({ clusters }: Pick<FederationStatus, "clusters">): readonly string[] {
  const known = clusters.flatMap(({ id, connected, clockAheadMs }) => (connected && clockAheadMs !== undefined ? [{ id, aheadMs: clockAheadMs }] : []));
  const apart = known.filter(({ aheadMs }) => isClockApart(aheadMs));
  const [first] = apart;
  if (first !== undefined && known.length > 1 && known.every(({ aheadMs }) => isClockApart(aheadMs) && aheadMs > 0 === first.aheadMs > 0)) {
    const least = Math.min(...known.map(({ aheadMs }) => Math.abs(aheadMs)));
    return [`the clock of the global plane is ${clockWords(first.aheadMs > 0 ? -least : least)} those of the planes of all clusters, and ${clockAdvice}`];
  }
  return apart.map(({ id, aheadMs }) => `the clock of the plane of ${id} is ${clockWords(aheadMs)} that of the global plane, and ${clockAdvice}`);
}

/** The proxies of the cluster `name` whose clocks are not its plane's. */
export function proxyClockProblems(name: string, { clocks = [] }: Pick<ClusterStatus, "clocks">): readonly string[] {
  return clocks.map(({ instance, aheadMs }) => `the clock of proxy ${instance} in ${name} is ${clockWords(aheadMs)} that of its plane, and ${clockAdvice}`);
}
