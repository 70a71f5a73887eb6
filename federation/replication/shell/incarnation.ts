import { hostname } from "node:os";
import { silenceMs } from "../core/incarnations.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";

export interface IncarnationOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Of the machine, for people who have to tell two incarnations apart. */
  readonly host?: string;
}

/** That another process speaks under this plane's name. */
export interface MetRival {
  /** Its incarnation. */
  readonly rival: string;
  /** Who showed it. */
  readonly witness: string;
  /** Wall-clock ms. */
  readonly sinceMs: number;
}

/** Characters of the machine's name that are told. */
const hostLengthMax = 63;

/**
 * One uninterrupted time of a plane as publisher, told from all others of its name. All links of the plane share it. While another one is
 * alive beside it the plane takes no writes and publishes nothing but heartbeats, by which the others know who is left.
 */
export class Incarnation {
  readonly id: string;
  readonly #options: IncarnationOptions;
  #met: MetRival | undefined;
  #metAtMs = 0;

  constructor(options: IncarnationOptions) {
    const { random, host = hostname() } = options;
    this.id = `${host.slice(0, hostLengthMax)}-${Buffer.from(random.bytes(4)).toString("hex")}`;
    this.#options = options;
  }

  /** Present while there is another, and for `silenceMs` after its last sign. */
  get met(): MetRival | undefined {
    return this.#met;
  }

  /** `witness` has shown beyond doubt that `rival` is alive now. */
  meet(rival: string, witness: string): void {
    const { clock, logger } = this.#options;
    this.#metAtMs = clock.monotonicMs();
    if (this.#met !== undefined) return;
    this.#met = { rival, witness, sinceMs: Math.floor(clock.nowMs()) };
    logger.error("Another process speaks under this plane's name: writes are refused and nothing is published, until it is silent or an operator names the one that counts by `atoll reconcile`.", { incarnation: this.id, rival, witness });
  }

  /** Notices that the other has been silent for long enough. Called with each heartbeat. */
  look(): void {
    const { clock, logger } = this.#options;
    if (this.#met === undefined || clock.monotonicMs() - this.#metAtMs < silenceMs) return;
    logger.warn("The other process of this plane's name is silent: writes are taken again, and publishing goes on.", { incarnation: this.id, rival: this.#met.rival });
    this.#met = undefined;
  }
}
