import type { StoreEntry, StoreEvent, StoreListing } from "./store.ts";

/** What follows in a listing after what was read of it before, as of `revision`. */
export interface ListingPage {
  readonly revision: number;
  readonly entries: readonly StoreEntry[];
  readonly isLast: boolean;
}

/** What reading on has brought: entries in key order, all behind those of the parts before, and what has become of these meanwhile. */
export interface ListingPart {
  readonly revision: number;
  readonly entries: readonly StoreEntry[];
  readonly later: readonly StoreEvent[];
  readonly isLast: boolean;
}

/**
 * A listing that is read page by page while others write. It hears of every write between the pages, and passes on what concerns a part that
 * it has read already; what comes later in the order of keys is found there. So all parts together are as of the revision of the last page, and
 * nothing needs to be kept of how the store was when it began, nor of a part once it was taken.
 */
export class PagedListing {
  readonly #prefix: string;
  #end: string | undefined;
  #entries: readonly StoreEntry[] = [];
  /** By key, the last event of each that has been read: so many at most as there are keys. */
  readonly #later = new Map<string, StoreEvent>();
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
    return this.#end;
  }

  /** What the page before has brought must have been taken. */
  add({ entries, revision, isLast }: ListingPage): void {
    this.#end = entries.at(-1)?.key ?? this.#end;
    this.#entries = entries;
    this.#revision = revision;
    this.#isWhole = isLast;
  }

  /** Events of one commit, in the order in which the store makes them; none any more once the listing is whole. */
  hear(events: readonly StoreEvent[]): void {
    if (this.#isWhole || this.#end === undefined) return;
    for (const event of events) {
      const key = event.kind === "put" ? event.entry.key : event.key;
      if (key.startsWith(this.#prefix) && compareKeys(key, this.#end) <= 0) this.#later.set(key, event);
    }
  }

  /** What has come since the last time. */
  take(): ListingPart {
    const part = { revision: this.#revision, entries: this.#entries, later: [...this.#later.values()], isLast: this.#isWhole };
    this.#entries = [];
    this.#later.clear();
    return part;
  }
}

/** The whole of a listing, in key order. */
export async function wholeListing(parts: AsyncIterable<ListingPart>): Promise<StoreListing> {
  const entries = new Map<string, StoreEntry>();
  let revision = 0;
  let isInOrder = true;
  for await (const part of parts) {
    revision = part.revision;
    for (const entry of part.entries) entries.set(entry.key, entry);
    for (const event of part.later) {
      if (event.kind === "delete") {
        entries.delete(event.key);
        continue;
      }
      isInOrder &&= entries.has(event.entry.key);
      entries.set(event.entry.key, event.entry);
    }
  }
  const read = [...entries.values()];
  return { entries: isInOrder ? read : read.toSorted((one, other) => compareKeys(one.key, other.key)), revision };
}

/** By their bytes in UTF-8, as both engines sort them; the order of strings is another one beyond U+D7FF. */
function compareKeys(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
