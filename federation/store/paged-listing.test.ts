import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KnownKeys } from "./known-keys.ts";
import { PagedListing, wholeListing, type ListingPage, type ListingPart } from "./paged-listing.ts";
import type { StoreBatch, StoreEntry, StoreEvent } from "./store.ts";

/** What may stand between the pages, of keys that sort otherwise by their bytes than as strings (the last two). */
const keys = ["p/", "p/a", "p/b", "p/c", "p/c/d", "p/\uff5e", "p/\u{1f30a}", "q"];
type Step = { readonly kind: "page"; readonly size: number } | { readonly kind: "put" | "delete"; readonly key: string };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("page" as const), size: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constantFrom("put" as const, "delete" as const), key: fc.constantFrom(...keys) }),
);
const present = fc.uniqueArray(fc.constantFrom(...keys));

describe("a listing that is read in pages", () => {
  it("is as the store was at its last page, whatever was written between the pages", async () => {
    await fc.assert(
      fc.asyncProperty(present, fc.array(step), async (first, steps) => {
        const store = new ModelStore(first);
        const parts = partsOf(store, steps);
        expect(await wholeListing(toldOneByOne(parts))).toEqual(store.listing("p/"));
      }),
    );
  });

  it("brings one who was told of an earlier listing, whole or not, to the same", () => {
    fc.assert(
      fc.property(present, fc.array(fc.array(step), { minLength: 1, maxLength: 3 }), fc.nat(4), (first, listings, partsRead) => {
        const store = new ModelStore(first);
        const known = new KnownKeys();
        const told: StoreBatch[] = [];
        for (const [at, steps] of listings.entries()) {
          const isLast = at === listings.length - 1;
          const parts = partsOf(store, steps);
          known.begin();
          for (const part of isLast ? parts : parts.slice(0, partsRead)) told.push(...known.take(part));
        }
        const seen = new Map<string, number>();
        for (const event of told.flatMap(({ events }) => events)) {
          if (event.kind === "put") seen.set(event.entry.key, event.entry.revision);
          else seen.delete(event.key);
        }
        expect(seen).toEqual(new Map(store.listing("p/").entries.map(({ key, revision }) => [key, revision])));
        expect(told.map(({ initial }) => initial)).toEqual(told.map((_, at) => at === 0));
        expect(told.at(-1)?.more).toBeUndefined();
      }),
    );
  });

  it("has nothing more to say to one who knows it all", () => {
    const store = new ModelStore(["p/a", "p/b"]);
    const known = new KnownKeys();
    const tell = (): readonly StoreBatch[] => {
      known.begin();
      return partsOf(store, [{ kind: "page", size: 1 }]).flatMap((part) => known.take(part));
    };
    expect(tell().map(({ initial, more }) => [initial, more])).toEqual([[true, true], [false, undefined]]);
    expect(tell()).toEqual([]);
  });

  it("takes up nothing more once it is whole", () => {
    const store = new ModelStore(["p/a"]);
    const listing = new PagedListing("p/");
    listing.add(store.page("p/", undefined, 2));
    listing.hear(store.write("delete", "p/a"));
    expect(listing.take()).toMatchObject({ entries: [{ key: "p/a" }], later: [], isLast: true });
  });
});

/** What is read of `store` while `steps` are taken, and after them until it is whole. */
function partsOf(store: ModelStore, steps: readonly Step[]): readonly ListingPart[] {
  const listing = new PagedListing("p/");
  const parts: ListingPart[] = [];
  for (const made of [...steps, { kind: "page", size: keys.length } as const]) {
    if (made.kind !== "page") {
      listing.hear(store.write(made.kind, made.key));
      continue;
    }
    listing.add(store.page("p/", listing.after, made.size));
    parts.push(listing.take());
    if (listing.isWhole) break;
  }
  return parts;
}

async function* toldOneByOne<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

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

  listing(prefix: string): { readonly entries: readonly StoreEntry[]; readonly revision: number } {
    return { entries: this.page(prefix, undefined, keys.length).entries, revision: this.revision };
  }

  page(prefix: string, after: string | undefined, size: number): ListingPage {
    const bytes = (key: string): string => Buffer.from(key).toString("hex");
    const following = [...this.#entries.values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === undefined || bytes(key) > bytes(after)))
      .toSorted((one, other) => (bytes(one.key) < bytes(other.key) ? -1 : 1));
    return { revision: this.revision, entries: following.slice(0, size), isLast: following.length <= size };
  }
}
