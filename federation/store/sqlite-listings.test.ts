import { expect, it } from "vitest";
import { LongListings, pageEntries } from "./sqlite-listings.ts";
import type { StoreEntry } from "./store.ts";

const entriesOf = (count: number): readonly StoreEntry[] => Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: new Uint8Array(), revision: 1, createRevision: 1 }));

it("keeps nothing of a listing that one reply holds", () => {
  const listings = new LongListings();
  expect(listings.begin(entriesOf(pageEntries))).toEqual({ entries: entriesOf(pageEntries), rest: undefined });
  expect(listings.next).toBe(1);
});

it("tells the rest of several in pages, and forgets what was told", () => {
  const listings = new LongListings();
  const all = entriesOf(2 * pageEntries + 1);
  const [first, second] = [listings.begin(all), listings.begin(entriesOf(pageEntries + 1))];
  const pages = [listings.page(first.rest ?? 0), listings.page(second.rest ?? 0), listings.page(first.rest ?? 0)];
  expect(pages.map((page) => [page?.entries.length, page?.isLast])).toEqual([[pageEntries, false], [1, true], [1, true]]);
  expect([...first.entries, ...(pages[0]?.entries ?? []), ...(pages[2]?.entries ?? [])]).toEqual(all);
  expect(listings.page(first.rest ?? 0)).toBeUndefined();
});

it("forgets what is dropped, by itself or with all that began after it", () => {
  const listings = new LongListings();
  const long = entriesOf(pageEntries + 1);
  const rests = [listings.begin(long), listings.begin(long), listings.begin(long)].map(({ rest }) => rest ?? 0);
  listings.drop(rests[0] ?? 0);
  listings.dropFrom(rests[2] ?? 0);
  expect(rests.map((rest) => listings.page(rest) !== undefined)).toEqual([false, true, false]);
});
