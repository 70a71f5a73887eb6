import { systemClock } from "#federation/runtime/clock.ts";
import type { UsersClient } from "#services/cli/demo/users-client.ts";
import { eventually } from "./eventually.ts";

const never = new AbortController().signal;
/** What `up` gives users: how long one waits for an answer. */
const userDeadlineMs = 8_000;

/**
 * Waits until all of these users have been served without a failure for longer than any of them waits for an answer: then nothing
 * that was sent before can fail later and be taken for the doing of what comes next.
 */
export async function usersSettled(users: readonly UsersClient[], withinMs: number): Promise<void> {
  let goodSinceMs = systemClock.nowMs();
  await eventually(
    `the users of ${users.map(({ region }) => region).join(" and ")} are served`,
    async () => {
      for (const one of users) {
        await one.refresh(never);
        const lastFailure = one.windows.findLast(({ failed }) => failed > 0);
        goodSinceMs = Math.max(goodSinceMs, (lastFailure?.startMs ?? 0) + 100);
      }
      return systemClock.nowMs() - goodSinceMs > userDeadlineMs + 500;
    },
    withinMs,
  );
}
