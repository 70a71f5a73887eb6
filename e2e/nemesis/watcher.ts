import { systemClock } from "#federation/runtime/clock.ts";
import { pause } from "../harness/eventually.ts";
import { ailmentsOf, type Ailment } from "./ailments.ts";
import type { Sighting } from "./history.ts";
import { lookAtAll } from "./look.ts";
import { SilenceWatch } from "./silence-watch.ts";
import type { World } from "./world.ts";
import type { Writer } from "./writer.ts";

const lookEveryMs = 1_500;

/** Looks at every plane again and again, and keeps what it saw. */
export class Watcher {
  readonly sightings: Sighting[] = [];
  readonly silence: SilenceWatch;
  readonly #world: World;
  readonly #writers: readonly Writer[];
  /** The last look: when it began, and what was wrong in it. */
  #last: { readonly atMs: number; readonly ailments: readonly Ailment[] } | undefined;

  constructor(world: World, writers: readonly Writer[]) {
    this.#world = world;
    this.#writers = writers;
    this.silence = new SilenceWatch(() => world.atoll("check"));
  }

  /** Looks until `signal` aborts; the look that it is at is finished. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look();
      await pause(lookEveryMs, signal).catch(() => undefined);
    }
  }

  /** What was wrong in the last look, if that began after `sinceMs`. */
  ailmentsSince(sinceMs: number): readonly Ailment[] | undefined {
    return this.#last === undefined || this.#last.atMs <= sinceMs ? undefined : this.#last.ailments;
  }

  async #look(): Promise<void> {
    const atMs = systemClock.monotonicMs();
    const look = await lookAtAll(this.#world);
    for (const sighting of look.values()) if (!(sighting instanceof Error)) this.sightings.push(sighting);
    const refusing = this.#writers.filter(({ isRefused }) => isRefused).map(({ plane }) => ({ what: `${plane} takes no writes`, planes: [plane] }));
    const ailments = [...ailmentsOf(look, this.#writers.flatMap(({ registers }) => registers)), ...refusing];
    this.#last = { atMs, ailments };
    await this.silence.observe(ailments, systemClock.monotonicMs());
  }
}
