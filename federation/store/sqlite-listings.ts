import type { StoreEntry } from "./store.ts";

/** Entries in one reply: whoever reads a message of a thread reads all of it at once. */
export const pageEntries = 500;

/** The beginning of a listing, and under which number the rest is kept; none where that is all. */
export interface ListingBegun {
  readonly entries: readonly StoreEntry[];
  readonly rest: number | undefined;
}

export interface ListingPage {
  readonly entries: readonly StoreEntry[];
  readonly isLast: boolean;
}

/** What is left of long listings, as they were when they began, until it is asked for or dropped. */
export class LongListings {
  readonly #rests = new Map<number, readonly StoreEntry[]>();
  #next = 1;

  /** The number that the next long listing gets. */
  get next(): number {
    return this.#next;
  }

  begin(entries: readonly StoreEntry[]): ListingBegun {
    if (entries.length <= pageEntries) return { entries, rest: undefined };
    const rest = this.#next++;
    this.#rests.set(rest, entries.slice(pageEntries));
    return { entries: entries.slice(0, pageEntries), rest };
  }

  /** Undefined for one that was dropped, or has been told whole. */
  page(listing: number): ListingPage | undefined {
    const rest = this.#rests.get(listing);
    if (rest === undefined) return undefined;
    const isLast = rest.length <= pageEntries;
    if (isLast) this.#rests.delete(listing);
    else this.#rests.set(listing, rest.slice(pageEntries));
    return { entries: rest.slice(0, pageEntries), isLast };
  }

  drop(listing: number): void {
    this.#rests.delete(listing);
  }

  /** Drops those that began with `first` or later. */
  dropFrom(first: number): void {
    for (const listing of this.#rests.keys()) if (listing >= first) this.#rests.delete(listing);
  }
}
