import type { ProxyConfig } from "../config.ts";
import type { ControlLink, ProcessParts } from "../control/control-link.ts";
import type { WorkloadApi } from "./workload-api.ts";

/**
 * Serves the Workload API where `config` asks for it, by what `control` holds; nothing of it is loaded otherwise. Closes `control` when it throws.
 * @throws {ATOLL_SOCKET_UNSAFE | ATOLL_SOCKET_TAKEN | ATOLL_CONFIG_INVALID}
 */
export async function loadWorkloadApi({ workloadApi }: ProxyConfig, { clock, logger }: ProcessParts, control: ControlLink): Promise<WorkloadApi | undefined> {
  if (workloadApi === undefined) return undefined;
  const { openWorkloadApi } = await import("./workload-api.ts");
  const { svid, builder, refusal } = control;
  try {
    return await openWorkloadApi({ ...workloadApi, svid, snapshot: builder.snapshot, isIdentityRefused: () => refusal.current !== undefined, clock, logger });
  } catch (error) {
    await control.close();
    throw error;
  }
}
