import { overloadOf, overloadWords } from "#federation/model/overload.ts";
import { priorityClasses } from "#federation/model/priority-class.ts";
import type { Admission } from "./admission.ts";
import type { LoopDelay } from "./loop-delay.ts";
import type { LoopShedStage } from "./loop-shed-stage.ts";
import type { LoopShed } from "./loop-shed.ts";
import { refusalReasons } from "./ticket.ts";

/** What /stats shows of admission to one application port. */
export function describeAdmission(admission: Admission, nowMs: number): object {
  const { limit, queue } = admission;
  const overload = overloadOf(admission.rates.at(nowMs));
  return {
    state: overload === undefined ? "ok" : overloadWords(overload),
    limit: Math.floor(limit.limit),
    inUse: admission.inUse,
    streams: admission.streams,
    queued: queue.length,
    queueDelayMs: round(admission.queueDelayMs),
    order: queue.isOverloaded ? "newest first" : "oldest first",
    latencyMs: round(limit.latencyMs),
    baselineMs: round(limit.baselineMs),
    admitted: byClass((at) => admission.admitted[at] ?? 0),
    refused: Object.fromEntries(refusalReasons.map((reason, index) => [reason, byClass((at) => admission.refused[at * refusalReasons.length + index] ?? 0)])),
  };
}

/** What /stats shows of this process's own event loop. */
export function describeLoop(loop: LoopDelay, shed: LoopShed, guards: Readonly<Record<"inbound" | "outbound", LoopShedStage>>): object {
  return {
    state: shed.share > 0 ? `overloaded: refuses ${Math.round(shed.share * 100)} % of new requests` : "ok",
    delayMs: round(loop.smoothedMs),
    delayMsMax: round(loop.maximumMs),
    refused: Object.fromEntries(Object.entries(guards).map(([side, guard]) => [side, byClass((at) => guard.refused[at] ?? 0)])),
  };
}

function byClass(count: (at: number) => number): Readonly<Record<string, number>> {
  return Object.fromEntries(priorityClasses.map((name, at) => [name, count(at)]));
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
