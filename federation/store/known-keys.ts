import { inTurns } from "#federation/runtime/turns.ts";
import type { StoreBatch, StoreEvent, StoreListing } from "./store.ts";

/**
 * What the reader of one watch has been told: each key with the revision of its value. With it an adapter that had
 * to list anew sends only the difference. Memory grows with the number of keys under the prefix, not their values.
 */
export class KnownKeys {
  readonly #revisions = new Map<string, number>();
  #isFirst = true;

  /** The batch that brings the reader from what it knows to `listing`: everything at first, then only the difference. In turns, since a listing may be long. */
  async advanceTo(listing: StoreListing): Promise<StoreBatch> {
    const events: StoreEvent[] = [];
    const gone = new Set(this.#revisions.keys());
    await inTurns(listing.entries, (entry) => {
      gone.delete(entry.key);
      if (this.#revisions.get(entry.key) === entry.revision) return;
      events.push({ kind: "put", entry });
      this.#revisions.set(entry.key, entry.revision);
    });
    for (const key of gone) {
      // When it was deleted is not known any more; the listing's own revision is the first at which it is surely gone.
      events.push({ kind: "delete", key, revision: listing.revision });
      this.#revisions.delete(key);
    }
    const batch = { initial: this.#isFirst, events, revision: listing.revision };
    this.#isFirst = false;
    return batch;
  }

  /** Notes events that the reader gets from the engine as they are. */
  record(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.kind === "put") this.#revisions.set(event.entry.key, event.entry.revision);
      else this.#revisions.delete(event.key);
    }
  }
}
