import { randomUUID } from "node:crypto";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeGrants, type Access, type Grant } from "./access.ts";
import type { AuditTrail, Change } from "./audit.ts";
import { nameOfCaller, type Caller } from "./caller.ts";
import { problemOf } from "./problem.ts";
import type { AdminAnswer } from "./route.ts";

/** A mutation, as the trail will show it. */
export interface Mutation {
  readonly operationId: string;
  readonly access: Exclude<Access, "read">;
  readonly caller: Caller;
  readonly grants: readonly Grant[];
  readonly address: string;
  readonly path: string;
  readonly dryRun: boolean;
  readonly hadPrecondition: boolean;
}

/**
 * Runs `mutate` between the two lines of the trail. What is refused is in it as well, since whoever reads a trail looks for attempts.
 * @throws {ATOLL_AUDIT_UNAVAILABLE} before anything was done, and what `mutate` throws.
 */
export async function audited(mutation: Mutation, trail: AuditTrail, clock: Clock, mutate: () => Promise<AdminAnswer<unknown>>): Promise<AdminAnswer<unknown>> {
  const { operationId, access, caller, grants, address, path, dryRun, hadPrecondition } = mutation;
  const ticket = await trail.begin({
    time: new Date(clock.nowMs()).toISOString(),
    requestId: randomUUID(),
    operationId,
    access,
    caller: { by: caller.kind, name: nameOfCaller(caller), roles: access === "plane" ? "plane" : describeGrants(grants) },
    address,
    path,
    dryRun,
  });
  try {
    const answer = await mutate();
    const change: Change = answer.change ?? { outcome: "done" };
    await ticket.end({ ...change, status: answer.status ?? 200 });
    return answer;
  } catch (error) {
    const { status, code } = problemOf(error, hadPrecondition);
    await ticket.end({ outcome: status < 500 && isAtollError(error) ? "refused" : "failed", status, code });
    throw error;
  }
}
