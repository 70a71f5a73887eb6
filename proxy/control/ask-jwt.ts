import type { Client } from "@grpc/grpc-js";
import { callUnary, identityService } from "#federation/wire/grpc-services.ts";
import type { JwtResponse } from "#federation/wire/workload-messages.ts";

/** The plane signs in less than a millisecond; whoever waits longer is told to come again. */
const askTimeoutMs = 5_000;

/** Asks the plane for a JWT-SVID of the identity that `client` shows. @throws grpc-js's errors. @throws {ATOLL_ABORTED} */
export async function askJwt(client: Client, audience: readonly string[], nowMs: number, signal: AbortSignal): Promise<JwtResponse> {
  return await callUnary(client, identityService.issueJwt, { audience }, { deadlineMs: askTimeoutMs, nowMs, signal });
}
