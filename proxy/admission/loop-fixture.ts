import { createSeededRandom } from "#federation/runtime/random.ts";
import { LoopShed } from "./loop-shed.ts";

/** Open-loop load on a proxy that has one processor, on virtual time. */
export interface LoopCase {
  readonly seed: number;
  /** Offered load as a share of what the processor can serve, at a time. */
  readonly load: (nowMs: number) => number;
  readonly durationMs: number;
  readonly isShedding?: boolean;
  /** The share of each class; all `default` when absent. */
  readonly classes?: readonly [critical: number, normal: number, sheddable: number];
  /** The process stands still for so long at a time. */
  readonly stall?: { readonly atMs: number; readonly forMs: number };
}

export interface LoopSeen {
  readonly atMs: number;
  readonly priority: number;
  /** Ms; undefined when it was refused or its caller had left. */
  readonly tookMs: number | undefined;
}

export interface LoopResult {
  readonly seen: readonly LoopSeen[];
  /** How late each tick was, ms. */
  readonly delays: readonly { readonly atMs: number; readonly lateMs: number }[];
  readonly shed: LoopShed;
}

/** CPU of a request: half when its head comes, half when its response does. */
export const serveMs = 0.2;
/** CPU of a refusal; the share that our servers need, measured by their path through the stages. */
const refuseMs = 0.04;
const upstreamMs = 10;
const tickMs = 20;
const patienceMs = 1_000;

/** An event loop as libuv's: a turn runs the timers that are due, then handles all that had arrived when it began. */
export function simulateLoop(load: LoopCase): LoopResult {
  const random = createSeededRandom(load.seed);
  const shed = new LoopShed();
  const seen: LoopSeen[] = [];
  const delays: { atMs: number; lateMs: number }[] = [];
  const arrived: { readonly atMs: number; readonly priority: number }[] = [];
  const responses: { readonly dueMs: number; readonly atMs: number; readonly priority: number }[] = [];
  let [nowMs, nextMs, tickDueMs, arrivedAt, respondedAt] = [0, 0, tickMs, 0, 0];
  let [tickedMs, workedMs] = [0, 0];
  let isStalled = false;

  const respond = (): void => {
    for (; (responses[respondedAt]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs; respondedAt++) {
      const { atMs, priority } = responses[respondedAt] as (typeof responses)[number];
      nowMs += serveMs / 2;
      seen.push({ atMs, priority, tookMs: nowMs - atMs <= patienceMs ? nowMs - atMs : undefined });
    }
  };
  while (nowMs < load.durationMs) {
    if (load.stall !== undefined && !isStalled && nowMs >= load.stall.atMs) {
      isStalled = true;
      nowMs += load.stall.forMs;
    }
    if (nowMs >= tickDueMs) {
      delays.push({ atMs: nowMs, lateMs: nowMs - tickDueMs });
      shed.onLoopTick(nowMs - tickDueMs, nowMs, workedMs / (nowMs - tickedMs));
      tickDueMs = nowMs + tickMs;
      tickedMs = nowMs;
      workedMs = 0;
    }
    for (; nextMs <= nowMs; nextMs += (-Math.log(1 - random.next()) * serveMs) / load.load(nextMs)) {
      arrived.push({ atMs: nextMs, priority: classOf(random.next(), load.classes) });
    }
    const turnEnds = arrived.length;
    const beganMs = nowMs;
    respond();
    for (; arrivedAt < turnEnds; arrivedAt++) {
      const { atMs, priority } = arrived[arrivedAt] as (typeof arrived)[number];
      const ratio = load.isShedding === false ? 0 : shed.ratioFor(priority, Math.max(0, nowMs - tickDueMs));
      if (ratio > 0 && random.next() < ratio) {
        nowMs += refuseMs;
        seen.push({ atMs, priority, tookMs: undefined });
      } else {
        nowMs += serveMs / 2;
        responses.push({ dueMs: nowMs + upstreamMs, atMs, priority });
      }
    }
    workedMs += nowMs - beganMs;
    if (nowMs === beganMs) nowMs = Math.max(nowMs + 0.001, Math.min(nextMs, responses[respondedAt]?.dueMs ?? Number.POSITIVE_INFINITY, tickDueMs));
  }
  return { seen, delays, shed };
}

function classOf(at: number, classes: LoopCase["classes"]): number {
  if (classes === undefined) return 1;
  if (at < classes[0]) return 0;
  return at < classes[0] + classes[1] ? 1 : 2;
}
