import type { StoreEntry, StoreEvent, StoreListing } from "./store.ts";

/** What follows in a listing after what was read of it before, as of `revision`. */
export interface ListingPage {
  readonly revision: number;
  readonly entries: readonly StoreEntry[];
  readonly isLast: boolean;
}

/** Entries of one page that were there when it was read, or were written since. */
interface ReadPage {
  /** The last key when it was read: until there, this page knows all. */
  readonly end: string;
  readonly entries: StoreEntry[];
}

/**
 * A listing that is read page by page while others write. It hears of every write between the pages, and takes up what concerns a part that
 * it has read already; what comes later in the order of keys is found there. So all of it is as of the revision of its last page, and
 * nothing needs to be kept of how the store was when it began.
 */
export class PagedListing {
  readonly #prefix: string;
  readonly #pages: ReadPage[] = [];
  #revision = 0;
  #isWhole = false;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** The key after which the next page begins; undefined at the beginning. */
  get after(): string | undefined {
    return this.#pages.at(-1)?.end;
  }

  /** All that was read, in key order. */
  get read(): StoreListing {
    return { entries: this.#pages.flatMap(({ entries }) => entries), revision: this.#revision };
  }

  add({ entries, revision, isLast }: ListingPage): void {
    const last = entries.at(-1);
    if (last !== undefined) this.#pages.push({ end: last.key, entries: [...entries] });
    this.#revision = revision;
    this.#isWhole = isLast;
  }

  /** Events of one commit, in the order in which the store makes them; none any more once the listing is whole. */
  hear(events: readonly StoreEvent[]): void {
    if (this.#isWhole) return;
    for (const event of events) {
      const key = event.kind === "put" ? event.entry.key : event.key;
      const page = key.startsWith(this.#prefix) ? this.#pages.find(({ end }) => compareKeys(end, key) >= 0) : undefined;
      if (page !== undefined) change(page.entries, key, event.kind === "put" ? [event.entry] : []);
    }
  }
}

/** Puts `present`, one or none, where `key` is or belongs. */
function change(entries: StoreEntry[], key: string, present: readonly StoreEntry[]): void {
  const found = entries.findIndex((entry) => compareKeys(entry.key, key) >= 0);
  const at = found === -1 ? entries.length : found;
  entries.splice(at, entries[at]?.key === key ? 1 : 0, ...present);
}

/** By their bytes in UTF-8, as both engines sort them; the order of strings is another one beyond U+D7FF. */
function compareKeys(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
