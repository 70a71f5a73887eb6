import { priorityClasses } from "#federation/model/priority-class.ts";
import type { Random } from "#federation/runtime/random.ts";
import { Continue, Reply } from "../http/exchange.ts";
import type { Exchange, Stage, StageResult } from "../http/exchange.ts";
import type { LoopDelay } from "./loop-delay.ts";
import type { LoopShed } from "./loop-shed.ts";

/** In this time the share that is refused can change by half: sooner, asking again is asking the same. */
const retryAfterMs = 500;

/** So few requests at a time do not make a loop late, and refusing one of them makes no other sooner. */
export const activeMin = 32;

/**
 * Refuses new requests while this process has more to do than time, before anything else is done for them. It comes
 * first, and is what runs most under overload: two additions and a comparison where nothing is refused.
 */
export class LoopShedStage implements Stage {
  readonly name = "loop-shed";
  /** Refused requests, by class in the order of `priorityClasses`. */
  readonly refused = new Float64Array(priorityClasses.length);
  readonly #delay: LoopDelay;
  readonly #shed: LoopShed;
  readonly #random: Random;
  #active = 0;

  constructor(delay: LoopDelay, shed: LoopShed, random: Random) {
    this.#delay = delay;
    this.#shed = shed;
    this.#random = random;
  }

  request(x: Exchange): StageResult {
    this.#active++;
    const ratio = this.#shed.ratioFor(x.priority, this.#delay.lateMs(x.startMs));
    if (ratio === 0 || this.#active <= activeMin || this.#random.next() >= ratio) return Continue;
    this.refused[x.priority] = (this.refused[x.priority] ?? 0) + 1;
    x.status = 503;
    x.flag = "UO";
    x.reason = "proxy_overloaded";
    x.retryAfterMs = retryAfterMs;
    return Reply;
  }

  response(): void {
    // Nothing follows for what was let in.
  }

  end(): void {
    this.#active--;
  }
}
