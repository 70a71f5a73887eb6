import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";

/** That a plane is asked for more than it can do, and what to do. */
export function apiOverloadProblems(plane: string, { apiOverloads = [] }: Pick<FederationStatus | ClusterStatus, "apiOverloads">): readonly string[] {
  return apiOverloads.map(({ requests, admits, asked }) => {
    const who = requests === "writes" ? `; \`atoll audit${plane === "global" ? "" : ` --cluster ${plane}`}\` shows who writes` : "";
    return `the plane of ${plane} takes ${admits} of ${asked} ${requests} a second and refuses the others, whose callers may ask again${who}; give it, or its store, more of a processor if they are all meant`;
  });
}
