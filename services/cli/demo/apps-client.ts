import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { openControlClient } from "#federation/runtime/control-socket.ts";

/** A host with a neighbour may keep a process from its turn for seconds. */
const quickMs = 15_000;

/** Has the storefronts of a region work so long on each request, until they are started again. @throws {ATOLL_CONTROL_UNAVAILABLE} */
export async function setWork(appsDir: string, workMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  await using client = await openControlClient(join(appsDir, "control.sock"), clock);
  await client.request("work", { workMs }, quickMs, signal);
}
