import type { ClusterStatus } from "#federation/admin-api/status.ts";

/** Policies of which a cluster's proxies keep the form before, by which proxy, why, and what to do. */
export function trialProblems(cluster: string, { policyTrials = [] }: Pick<ClusterStatus, "policyTrials">): readonly string[] {
  return policyTrials.flatMap(({ kind, id, generation, state, proxies, reason = "no reason given", triedAgain = false }) => {
    if (state !== "stopped") return [];
    const which = generation === undefined ? "" : ` (revision ${generation.revision} of the global plane)`;
    if (triedAgain) return [`${kind} ${id}${which} is held back in ${cluster} by proxy ${proxies.join(", ")}, which was told of it first: ${reason}; it is tried again by itself, and the other proxies keep the one before until then`];
    return [`${kind} ${id}${which} was stopped in ${cluster} by proxy ${proxies.join(", ")}, which was told of it first: ${reason}; the other proxies keep the one before: write it anew, or put back what was before with \`atoll rollback ${kind}/${id}\``];
  });
}
