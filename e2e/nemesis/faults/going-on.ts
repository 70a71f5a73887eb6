import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../../harness/eventually.ts";
import { findingsIn } from "../ailments.ts";
import { lookAtAll, readOwn } from "../look.ts";
import { notReached } from "../not-reached.ts";
import { policyOf, serviceOf } from "../versions.ts";
import type { World } from "../world.ts";
import type { Scene } from "./fault.ts";

/** Far more than any of it takes on a busy host. */
const wentOnMsMax = 120_000;
const never = new AbortController().signal;

/** Sees to it that every plane has taken writes since `sinceMs`, and that these reach everybody, while `what` is so. */
export async function expectUnbroken({ world, writers, onStopped }: Scene, sinceMs: number, what: string): Promise<void> {
  const all = [...writers.values()];
  try {
    await eventually("every plane takes writes", () => all.every((writer) => writer.acknowledgedSince(sinceMs) > 0), wentOnMsMax);
    const byMs = systemClock.monotonicMs();
    await eventually("what was acknowledged reaches everybody", async () => {
      const missing = notReached(await lookAtAll(world), { registers: all.flatMap(({ registers }) => registers), writes: all.flatMap(({ writes }) => writes) }, byMs);
      if (missing.length > 0) throw new Error(missing.join("; "));
      return true;
    }, wentOnMsMax);
  } catch (error) {
    onStopped(`while ${what}: ${describeError(error)}`);
  }
}

/** Sees to it that a plane whose store is away refuses writes in so many words, and goes on to show what it holds of its own, marked as stale, while `what` is so. */
export async function expectReadsAlone({ world, onStopped }: Scene, plane: string, what: string): Promise<void> {
  try {
    await eventually(`${plane} marks what it shows as stale`, async () => (await readOwn(world.plane(plane), plane)).isStale, wentOnMsMax);
    await eventually(`${plane} refuses writes because its store is away`, async () => await isRefusedForStore(world, plane), wentOnMsMax);
  } catch (error) {
    onStopped(`while ${what}: ${describeError(error)}`);
  }
}

/** Sees to it that `atoll check` says `words`, while `what` is so. */
export async function expectNamed({ world, onSilent }: Scene, words: string, what: string): Promise<void> {
  const isNamed = await eventually(`\`atoll check\` says ${words}`, async () => findingsIn(await world.atoll("check")).some((finding) => finding.includes(words)), wentOnMsMax).catch(() => false);
  if (!isNamed) onSilent(`${what}, and \`atoll check\` says nothing of ${words}`);
}

/** Of a resource that nobody counts: what becomes of it is nobody's business. */
async function isRefusedForStore(world: World, plane: string): Promise<boolean> {
  const name = "nemesis-probe";
  try {
    await world.plane(plane).apply(plane === "global" ? policyOf(name, 1) : serviceOf(name, 1), {}, never);
    return false;
  } catch (error) {
    if (isAtollError(error, "ATOLL_STORE_UNAVAILABLE", "ATOLL_STORE_UNWRITABLE")) return true;
    throw error;
  }
}
