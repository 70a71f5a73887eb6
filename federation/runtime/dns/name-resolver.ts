import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { WatchedValue, type Watched } from "../watched.ts";
import type { NameLookup } from "./name-lookup.ts";
import { addressesOfName, afterAnswer, resultOf, unaskedName, type LookupResult, type NameState } from "./name-state.ts";

/** One name as others see it. */
export interface ResolvedName {
  /** Literal, all of them to be used; empty while the name has never been answered. */
  readonly addresses: readonly string[];
  /** Wall-clock ms of the answer that they come from. */
  readonly asOfMs: number | undefined;
  /** A look-up has ended in this life of the process. */
  readonly asked: boolean;
  /** Why the last look-up gave nothing. */
  readonly problem: string | undefined;
}

/** Names and what they stand for. A name that is not asked for is not in it. */
export type ResolvedNames = ReadonlyMap<string, ResolvedName>;

/** Names that one process keeps resolved; further ones are left out and counted. */
export const namesMax = 1_024;

export interface NameResolverOptions {
  readonly lookup: NameLookup;
  readonly clock: Clock;
  readonly random: Random;
  /** What an earlier life of the process knew: used until DNS has answered. */
  readonly known?: ReadonlyMap<string, { readonly addresses: readonly string[]; readonly asOfMs: number }>;
  /** A name begins not to resolve, or resolves again. */
  readonly onChange?: (name: string, resolved: ResolvedName) => void;
}

interface Followed {
  state: NameState;
  view: ResolvedName;
  readonly stop: AbortController;
  timer: Disposable | undefined;
}

/** Keeps names resolved, each on its own time to live. Look-ups of one name follow each other, so there are never more than names. */
export class NameResolver implements Disposable {
  readonly counts: Record<LookupResult, number> = { found: 0, missing: 0, failed: 0 };
  /** Names that are left out because there are `namesMax` others, at the last `follow`. */
  leftOut = 0;
  readonly #options: NameResolverOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #names = new WatchedValue<ResolvedNames>(new Map());

  constructor(options: NameResolverOptions) {
    this.#options = options;
  }

  get names(): Watched<ResolvedNames> {
    return this.#names;
  }

  /** Addresses of the last answers beyond what one name may have. */
  get addressesDropped(): number {
    return Array.from(this.#followed.values(), ({ state }) => state.dropped).reduce((sum, count) => sum + count, 0);
  }

  /** Names whose last look-up gave nothing. */
  get unresolved(): number {
    return Array.from(this.#followed.values()).filter(({ state }) => state.problem !== undefined).length;
  }

  /** From now on exactly `names` are kept resolved. New ones are asked at once. */
  follow(names: ReadonlySet<string>): void {
    let changed = false;
    for (const [name, followed] of this.#followed) {
      if (names.has(name)) continue;
      end(followed);
      this.#followed.delete(name);
      changed = true;
    }
    this.leftOut = 0;
    for (const name of names) {
      if (this.#followed.has(name)) continue;
      if (this.#followed.size >= namesMax) {
        this.leftOut++;
        continue;
      }
      const state = unaskedName(this.#options.known?.get(name), this.#options.clock.monotonicMs());
      const followed: Followed = { state, view: viewOf(state), stop: new AbortController(), timer: undefined };
      this.#followed.set(name, followed);
      changed = true;
      void this.#ask(name, followed);
    }
    if (changed) this.#publish();
  }

  [Symbol.dispose](): void {
    for (const followed of this.#followed.values()) end(followed);
    this.#followed.clear();
  }

  async #ask(name: string, followed: Followed): Promise<void> {
    const { lookup, clock, random, onChange } = this.#options;
    const { signal } = followed.stop;
    const answer = await lookup(name, signal);
    if (signal.aborted) return;
    this.counts[resultOf(answer)]++;
    const nowMs = clock.monotonicMs();
    const { view } = followed;
    followed.state = afterAnswer(followed.state, answer, { nowMs, wallMs: clock.nowMs(), spread: random.next() });
    followed.view = viewOf(followed.state);
    followed.timer = clock.schedule(followed.state.askAtMs - nowMs, () => void this.#ask(name, followed));
    if ((view.problem === undefined) !== (followed.view.problem === undefined)) onChange?.(name, followed.view);
    this.#publish();
  }

  #publish(): void {
    this.#names.set(new Map(Array.from(this.#followed, ([name, { view }]) => [name, view])));
  }
}

function viewOf(state: NameState): ResolvedName {
  return { addresses: addressesOfName(state), asOfMs: state.asOfMs, asked: state.asked, problem: state.problem };
}

function end(followed: Followed): void {
  followed.timer?.[Symbol.dispose]();
  followed.stop.abort();
}
