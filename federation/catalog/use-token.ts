import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { isProvisioningId } from "#federation/model/provisioning-token.ts";
import type { Catalog } from "./catalog.ts";
import { refusedToken } from "./join-refusal.ts";
import type { TokenAttempt } from "./provisioning-tokens.ts";

/**
 * Uses a token of either kind and answers what it is for, which `attempt.isWanted` has approved of.
 * A single-use token is used up even when it was for something else.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED} whatever is wrong with it, in always the same words. @throws {ATOLL_JOIN_OVERLOADED}
 */
export async function useToken(catalog: Pick<Catalog, "joinTokens" | "provisioningTokens">, attempt: TokenAttempt, nowMs: number, signal: AbortSignal): Promise<JoinPurpose> {
  if (isProvisioningId(attempt.id)) return await catalog.provisioningTokens.use(attempt, nowMs, signal);
  const purpose = await catalog.joinTokens.consume(attempt.id, attempt.secret, nowMs, signal);
  if (!attempt.isWanted(purpose)) throw refusedToken();
  return purpose;
}
