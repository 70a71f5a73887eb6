import { decodeFetchAnswer, encodeFetchRequest } from "#federation/wire/frames.ts";
import type { FetchRequest } from "#federation/model/replication-messages.ts";
import type { Bus } from "#federation/bus/bus.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError, type AtollError } from "#federation/runtime/errors.ts";
import { partTimeoutMs, type AnswerParts } from "../core/answer-parts.ts";

/** By what an answer is gathered. */
export interface GatherOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Where the publisher takes questions. */
  readonly subject: string;
  /** Hears of each part that was lost; `waitMs` is undefined when the answer is given up for it. */
  readonly onLost: (error: AtollError, waitMs: number | undefined) => void;
  /** Awaited after each part that has come, was lost or is due again. */
  readonly between: () => Promise<void>;
}

/** What has become of a request: it was answered, or got no answer, or what was lost is due again. */
type Asked = { readonly kind: "came" | "due"; readonly request: FetchRequest } | { readonly kind: "lost"; readonly request: FetchRequest; readonly error: AtollError };

/** Asks for `answer` until all of it has come; false when it was given up. */
export async function gatherAnswer(answer: AnswerParts, options: GatherOptions, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const inner = AbortSignal.any([signal, over.signal]);
  const asking = new Map<FetchRequest, Promise<Asked>>();
  try {
    while (!answer.isOver) {
      for (let request = answer.next(); request !== undefined; request = answer.next()) asking.set(request, ask(request, answer, options, inner));
      const asked = await Promise.race(asking.values());
      const { request } = asked;
      asking.delete(request);
      if (asked.kind === "due") asking.set(request, ask(request, answer, options, inner));
      if (asked.kind === "lost") {
        const waitMs = answer.lose(request);
        options.onLost(asked.error, waitMs);
        if (waitMs === undefined) return false;
        asking.set(request, wait(request, waitMs, options, inner));
      }
      await options.between();
    }
    return true;
  } finally {
    over.abort();
    await Promise.allSettled(asking.values());
  }
}

async function ask(request: FetchRequest, answer: AnswerParts, { bus, clock, subject }: GatherOptions, signal: AbortSignal): Promise<Asked> {
  const askedMs = clock.monotonicMs();
  try {
    const part = decodeFetchAnswer(await bus.request(subject, encodeFetchRequest(request), partTimeoutMs, signal));
    answer.take(request, part, clock.monotonicMs() - askedMs);
    return { kind: "came", request };
  } catch (error) {
    if (!isAtollError(error) || error.code === "ATOLL_ABORTED") throw error;
    return { kind: "lost", request, error };
  }
}

async function wait(request: FetchRequest, waitMs: number, { clock }: GatherOptions, signal: AbortSignal): Promise<Asked> {
  await sleep(clock, waitMs, signal);
  return { kind: "due", request };
}
