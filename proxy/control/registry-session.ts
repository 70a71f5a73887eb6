import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { openStream, registryService } from "#federation/wire/grpc-services.ts";
import type { SessionAck, SessionReport } from "#federation/wire/workload-messages.ts";
import type { PlaneDial } from "./plane-connection.ts";
import { PlaneClock } from "./plane-clock.ts";

/** The registration as others see it. */
export interface SessionStats {
  attached: boolean;
  reports: number;
  /** Why the plane does not accept the registration; empty when it does. */
  refused: string;
  readonly planeClock: PlaneClock;
}

export function createSessionStats(): SessionStats {
  return { attached: false, reports: 0, refused: "", planeClock: new PlaneClock() };
}

export interface RegistrySessionOptions {
  readonly plane: PlaneDial;
  /** What to report; sent at once when it changes. A value that says draining is the last one. */
  readonly report: Watched<SessionReport>;
  /** A report with what changes all the time and is no reason to send one; asked whenever one is sent. */
  readonly latest?: (report: SessionReport) => SessionReport;
  readonly stats: SessionStats;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const retryMsMin = 250;
const retryMsMax = 10_000;
/** Until the plane has said its TTL. */
const reportMsDefault = 3_000;
const reportMsMin = 200;

/**
 * Keeps this instance's session at the registry: reports on every change and three times in each TTL, and comes back
 * after every break. Ends when `signal` aborts, or once the plane has acknowledged a draining report.
 */
export async function runRegistrySession(options: RegistrySessionOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const reportsBefore = options.stats.reports;
    const end = await runStream(options, signal);
    options.stats.attached = false;
    if (end.kind === "drained" || signal.aborted) return;
    options.plane.failed();
    options.logger.warn("The registry session broke; it is opened again.", { reason: describeError(end.error) });
    failures = options.stats.reports > reportsBefore + 1 ? 1 : failures + 1;
    try {
      await options.plane.pause(jittered(options.random, Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures - 1, 10)), 0.3), signal);
    } catch (error) {
      if (isAbort(error)) return;
      throw error;
    }
  }
}

type StreamEnd = { readonly kind: "drained" } | { readonly kind: "broken"; readonly error: unknown };

async function runStream(options: RegistrySessionOptions, signal: AbortSignal): Promise<StreamEnd> {
  const { stats, clock } = options;
  const over = new AbortController();
  const combined = AbortSignal.any([signal, over.signal]);
  const stream = openStream(options.plane.client(), registryService.session, combined);
  options.plane.opening();
  let intervalMs = reportMsDefault;
  let timer: Disposable | undefined;
  /** When the reports that are not acknowledged were sent, monotonic ms. Acknowledgements come in order. */
  const sentAtMs: number[] = [];
  let lastSent: SessionReport | undefined;
  const send = (): void => {
    timer?.[Symbol.dispose]();
    stats.reports++;
    sentAtMs.push(clock.monotonicMs());
    const { current } = options.report;
    lastSent = { ...(options.latest?.(current) ?? current), clockAheadSeconds: Math.round((stats.planeClock.aheadMs ?? 0) / 1_000) };
    stream.write(lastSent);
    timer = clock.schedule(intervalMs, send);
  };
  const ended = streamEnd(stream, {
    isDrained: () => sentAtMs.length === 0 && lastSent?.draining === true,
    onAck: (ack) => {
      options.plane.answered();
      const atMs = sentAtMs.shift();
      if (atMs !== undefined && (ack.nowMs ?? 0) > 0) stats.planeClock.hear(ack.nowMs ?? 0, clock.nowMs(), clock.monotonicMs() - atMs);
      intervalMs = Math.max(reportMsMin, Math.floor(ack.ttlMs / 3));
      noteAck(options, ack);
    },
  });
  const following = (async () => {
    for await (const _ of options.report.changes(combined)) send();
  })();
  const end = await ended;
  over.abort();
  timer?.[Symbol.dispose]();
  await following;
  timer?.[Symbol.dispose]();
  return end;
}

/** How the stream ends: broken, or acknowledged after a draining report was on its way. */
function streamEnd(
  stream: ClientDuplexStream<SessionReport, SessionAck>,
  hooks: { readonly isDrained: () => boolean; readonly onAck: (ack: SessionAck) => void },
): Promise<StreamEnd> {
  return new Promise((resolve) => {
    stream.on("data", (ack: SessionAck) => {
      hooks.onAck(ack);
      if (hooks.isDrained()) resolve({ kind: "drained" });
    });
    stream.on("error", (error) => resolve({ kind: "broken", error }));
    stream.on("end", () => resolve({ kind: "broken", error: new Error("the plane ended the session") }));
  });
}

function noteAck({ stats, logger }: RegistrySessionOptions, ack: SessionAck): void {
  stats.attached = ack.refused === "";
  if (ack.refused === stats.refused) return;
  stats.refused = ack.refused;
  if (ack.refused === "") logger.info("The registration was accepted.");
  else logger.error("The plane does not accept the registration.", { reason: ack.refused });
}
