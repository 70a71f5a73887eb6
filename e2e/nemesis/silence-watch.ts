import { AilmentLog, findingsIn, unnamed, type Ailment } from "./ailments.ts";

/** So long may something be wrong before `atoll check` has to name it: fifteen heartbeats, ms. */
export const spokenWithinMs = 15_000;

/** Finds what is wrong for long while `atoll check` says nothing of any plane that it is about. */
export class SilenceWatch {
  readonly #log = new AilmentLog();
  readonly #check: () => Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** Named once, or told once. */
  readonly #settled = new Set<string>();
  /** Not named by one check: silence if they are still there when that has ended. */
  #suspects: readonly Ailment[] = [];
  readonly #silent = new Map<string, string>();

  constructor(check: () => Promise<{ readonly stdout: string; readonly stderr: string }>) {
    this.#check = check;
  }

  /** One sentence for each pair of planes about which nothing was said. */
  get silent(): readonly string[] {
    return [...this.#silent.values()];
  }

  /** Takes in all that is wrong at `nowMs`, and asks `atoll check` when something has been for long. */
  async observe(ailments: readonly Ailment[], nowMs: number): Promise<void> {
    this.#log.observe(ailments, nowMs);
    const lasting = this.#log.since(nowMs - spokenWithinMs).filter(({ what }) => !this.#settled.has(what));
    for (const { what, planes } of this.#suspects) {
      const still = lasting.find((ailment) => ailment.what === what);
      if (still === undefined) continue;
      this.#settled.add(what);
      this.#silent.set(planes.join(), still.detail === undefined ? what : `${what} (${still.detail})`);
    }
    const open = lasting.filter(({ what }) => !this.#settled.has(what));
    this.#suspects = open.length === 0 ? [] : unnamed(open, findingsIn(await this.#check()));
    for (const ailment of open) if (!this.#suspects.includes(ailment)) this.#settled.add(ailment.what);
  }
}
