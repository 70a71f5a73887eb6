import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PagedListing } from "./paged-listing.ts";
import type { StoreEntry, StoreEvent } from "./store.ts";

/** What may stand between the pages, of keys that sort otherwise by their bytes than as strings (the last two). */
const keys = ["p/", "p/a", "p/b", "p/c", "p/c/d", "p/\uff5e", "p/\u{1f30a}", "q"];
type Step = { readonly kind: "page"; readonly size: number } | { readonly kind: "put" | "delete"; readonly key: string };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("page" as const), size: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constantFrom("put" as const, "delete" as const), key: fc.constantFrom(...keys) }),
);

describe("a listing that is read in pages", () => {
  it("is as the store was at its last page, whatever was written between the pages", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom(...keys)), fc.array(step), (first, steps) => {
        const store = new ModelStore(first);
        const listing = new PagedListing("p/");
        for (const made of [...steps, { kind: "page", size: keys.length } as const]) {
          if (made.kind !== "page") listing.hear(store.write(made.kind, made.key));
          else if (!listing.isWhole) listing.add(store.page("p/", listing.after, made.size));
          if (listing.isWhole) break;
        }
        expect(listing.read).toEqual({ entries: store.page("p/", undefined, keys.length).entries, revision: store.revision });
      }),
    );
  });

  it("takes up nothing more once it is whole", () => {
    const store = new ModelStore(["p/a"]);
    const listing = new PagedListing("p/");
    listing.add(store.page("p/", undefined, 2));
    const { read } = listing;
    listing.hear(store.write("delete", "p/a"));
    expect(listing.read).toEqual(read);
  });
});

/** The least that a store is, sorted by bytes. */
class ModelStore {
  revision = 1;
  readonly #entries = new Map<string, StoreEntry>();

  constructor(keysOfIt: readonly string[]) {
    for (const key of keysOfIt) this.write("put", key);
  }

  write(kind: "put" | "delete", key: string): readonly StoreEvent[] {
    this.revision++;
    if (kind === "delete") return this.#entries.delete(key) ? [{ kind, key, revision: this.revision }] : [];
    const entry: StoreEntry = { key, value: new Uint8Array(), revision: this.revision, createRevision: this.#entries.get(key)?.createRevision ?? this.revision };
    this.#entries.set(key, entry);
    return [{ kind, entry }];
  }

  page(prefix: string, after: string | undefined, size: number): { readonly revision: number; readonly entries: readonly StoreEntry[]; readonly isLast: boolean } {
    const bytes = (key: string): string => Buffer.from(key).toString("hex");
    const following = [...this.#entries.values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === undefined || bytes(key) > bytes(after)))
      .toSorted((one, other) => (bytes(one.key) < bytes(other.key) ? -1 : 1));
    return { revision: this.revision, entries: following.slice(0, size), isLast: following.length <= size };
  }
}
