import type { ProxyConfig } from "../config.ts";
import type { ControlLink, ProcessParts } from "../control/control-link.ts";
import { askJwt } from "../control/ask-jwt.ts";
import type { IssueJwt } from "./jwt-svids.ts";
import type { WorkloadApi } from "./workload-api.ts";

/**
 * Serves the Workload API where `config` asks for it, by what `control` holds; nothing of it is loaded otherwise. Closes `control` when it throws.
 * @throws {ATOLL_SOCKET_UNSAFE | ATOLL_SOCKET_TAKEN | ATOLL_CONFIG_INVALID}
 */
export async function loadWorkloadApi({ workloadApi }: ProxyConfig, { clock, random, logger }: ProcessParts, control: ControlLink): Promise<WorkloadApi | undefined> {
  if (workloadApi === undefined) return undefined;
  const { openWorkloadApi } = await import("./workload-api.ts");
  const { svid, builder, refusal } = control;
  const issueJwt: IssueJwt = async (audience, signal) => await askJwt(control.connection.client(), audience, clock.nowMs(), signal);
  try {
    return await openWorkloadApi({ ...workloadApi, svid, snapshot: builder.snapshot, isIdentityRefused: () => refusal.current !== undefined, issueJwt, clock, random, logger });
  } catch (error) {
    await control.close();
    throw error;
  }
}
