import { systemClock } from "#federation/runtime/clock.ts";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { pause } from "../harness/eventually.ts";
import { TestFederation } from "../harness/test-federation.ts";
import { exporter, livePlan } from "../bench/replication/live/live-plan.ts";
import { serviceResource } from "../bench/replication/bench-resources.ts";
import type { MeasureContext } from "./measures.ts";
import type { OverloadLine } from "./overload-line.ts";

/** How many write at once, each the next as soon as the last is answered. The last are more than a plane lets begin, on any host. */
const crowds = [8, 64, 256, 768];
/** Of one client: as many as it has connections. */
const writersOfClient = 64;
/** How long a crowd may take until each of it was answered once, ms; then it is measured all the same. */
const settleMsMax = 45_000;
const firstPort = 1_000;
const lastPort = 60_000;

/** What a plane still gets done when more and more write to it: writes a second, and what is left of the most that it did for fewer. */
export async function measurePlane({ settings, onProgress }: MeasureContext): Promise<NonNullable<OverloadLine["plane"]>> {
  await using federation = await TestFederation.start(livePlan);
  const writesPerSecond: Record<string, number> = {};
  const share: Record<string, number> = {};
  let most = 0;
  for (const writers of crowds) {
    const { done, failed } = await crowd(federation, writers, settings);
    const perSecond = done / settings.seconds;
    writesPerSecond[String(writers)] = perSecond;
    if (most > 0) share[String(writers)] = perSecond / most;
    most = Math.max(most, perSecond);
    onProgress(`  ${writers} write at once: ${perSecond.toFixed(0)} writes a second, ${failed} failed`);
  }
  return { writesPerSecond, share };
}

async function crowd(federation: TestFederation, writers: number, { settleSeconds, seconds, signal }: MeasureContext["settings"]): Promise<{ readonly done: number; readonly failed: number }> {
  const counts = { done: 0, failed: 0 };
  const leaving = new AbortController();
  const ending = AbortSignal.any([signal, leaving.signal]);
  const clients = Array.from({ length: Math.ceil(writers / writersOfClient) }, () => federation.openPlanes());
  try {
    const writing = Array.from({ length: writers }, async (_, at) => {
      const planes = clients[Math.floor(at / writersOfClient)];
      if (planes !== undefined) await writeOn(planes.cluster(exporter), at, counts, ending);
    });
    // Connections are made, and what the crowd before had in hand is over, when as many writes were done as there are writers.
    await eventuallyOr(() => counts.done + counts.failed >= writers, settleMsMax, signal);
    await pause(settleSeconds * 1_000, signal);
    const before = { ...counts };
    await pause(seconds * 1_000, signal);
    const during = { done: counts.done - before.done, failed: counts.failed - before.failed };
    leaving.abort();
    await Promise.all(writing);
    return during;
  } finally {
    for (const planes of clients) planes[Symbol.dispose]();
  }
}

/** Waits until `holds`, for `msMax` at most. */
async function eventuallyOr(holds: () => boolean, msMax: number, signal: AbortSignal): Promise<void> {
  const endMs = systemClock.monotonicMs() + msMax;
  while (!holds() && systemClock.monotonicMs() < endMs) await pause(50, signal);
}

/** Each write gives a service of one's own another port. */
async function writeOn(plane: AdminClient, service: number, counts: { done: number; failed: number }, signal: AbortSignal): Promise<void> {
  let port = firstPort + Math.floor(systemClock.nowMs() % (lastPort - firstPort));
  while (!signal.aborted) {
    port = port === lastPort ? firstPort : port + 1;
    try {
      await plane.apply(serviceResource(service, port), {}, signal);
      counts.done++;
    } catch {
      if (signal.aborted) return;
      counts.failed++;
    }
  }
}
