import type { ListingPart } from "./paged-listing.ts";
import type { StoreBatch, StoreEvent } from "./store.ts";

/**
 * What the reader of one watch has been told: each key with the revision of its value. With it an adapter that had
 * to list anew sends only the difference. Memory grows with the number of keys under the prefix, not their values.
 */
export class KnownKeys {
  readonly #revisions = new Map<string, number>();
  /** Of the keys that were known when the present listing began, those that it has not held yet. */
  #unseen = new Set<string>();
  #isFirst = true;
  /** The reader was told that more would follow. */
  #isOpen = false;

  /** Before the first part of each listing, also where the one before was never whole. */
  begin(): void {
    this.#unseen = new Set(this.#revisions.keys());
  }

  /** The batch, or none, that brings the reader from what it knows to one part more: everything at first, then only the difference. */
  take({ entries, later, revision, isLast }: ListingPart): readonly StoreBatch[] {
    const events: StoreEvent[] = [];
    for (const entry of entries) this.#tell({ kind: "put", entry }, events);
    for (const event of later) this.#tell(event, events);
    // When one was deleted is not known any more; the listing's own revision is the first at which it is surely gone.
    if (isLast) for (const key of this.#unseen) this.#tell({ kind: "delete", key, revision }, events);
    const initial = this.#isFirst;
    const isNeeded = initial || events.length > 0 || (isLast && this.#isOpen);
    if (!isNeeded) return [];
    this.#isFirst = false;
    this.#isOpen = !isLast;
    return [isLast ? { initial, events, revision } : { initial, events, revision, more: true }];
  }

  /** Notes events that the reader gets from the engine as they are. */
  record(events: readonly StoreEvent[]): void {
    for (const event of events) this.#note(event);
  }

  /** Adds `event` to `events` where it is news. */
  #tell(event: StoreEvent, events: StoreEvent[]): void {
    this.#unseen.delete(keyOf(event));
    if (this.#note(event)) events.push(event);
  }

  /** False where the reader has been told of just that. */
  #note(event: StoreEvent): boolean {
    if (event.kind === "delete") return this.#revisions.delete(event.key);
    const { key, revision } = event.entry;
    if (this.#revisions.get(key) === revision) return false;
    this.#revisions.set(key, revision);
    return true;
  }
}

function keyOf(event: StoreEvent): string {
  return event.kind === "put" ? event.entry.key : event.key;
}
