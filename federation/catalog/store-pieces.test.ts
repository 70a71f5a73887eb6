import { expect, it } from "vitest";
import { itemsPerTurn } from "#federation/runtime/turns.ts";
import type { StoreBatch, StoreEvent } from "#federation/store/store.ts";
import { firstPieceItems, readInPieces, type StorePiece } from "./store-pieces.ts";

const event = (index: number): StoreEvent => ({ kind: "delete", key: `k${index}`, revision: index + 1 });
const batch = (count: number, initial = false): StoreBatch => ({ initial, events: Array.from({ length: count }, (_, index) => event(index)), revision: count });

async function* told(...batches: readonly StoreBatch[]): AsyncGenerator<StoreBatch> {
  yield* batches;
}

/** Of pieces that have come to their full length. */
const longBatch = 4 * itemsPerTurn;

it("reads a batch in pieces of one turn each, of which the first says that it is the first of all", async () => {
  const pieces: StorePiece[] = [];
  let turns = 0;
  const turnsBefore: number[] = [];
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  for await (const piece of readInPieces(told(batch(longBatch, true), batch(0), batch(1)), (read) => read)) {
    pieces.push(piece);
    turnsBefore.push(turns);
  }
  isOver = true;
  const ofLong = pieces.slice(0, -2);
  expect(ofLong.flatMap(({ events }) => events)).toEqual(batch(longBatch).events);
  expect(ofLong.map(({ initial, more }) => [initial, more])).toEqual(ofLong.map((piece) => [piece === ofLong[0], piece !== ofLong.at(-1)]));
  expect(pieces.slice(-2).map(({ initial, events, more }) => [initial, events.length, more])).toEqual([[false, 0, false], [false, 1, false]]);
  const turnsOfLong = turnsBefore.slice(0, -2);
  for (const [index, before] of turnsOfLong.entries()) expect(before).toBeGreaterThan(turnsOfLong[index - 1] ?? -1);
  expect(turnsBefore.at(-1)).toBe(turnsOfLong.at(-1));
});

it("begins with short pieces, and goes on with those of a turn's length whatever comes", async () => {
  const lengths: number[] = [];
  for await (const piece of readInPieces(told({ ...batch(longBatch, true), more: true }, batch(2 * itemsPerTurn)), ({ events }) => events.length)) lengths.push(piece);
  expect(lengths[0]).toBe(firstPieceItems);
  expect(Math.max(...lengths)).toBe(itemsPerTurn);
  expect(lengths.slice(-2)).toEqual([itemsPerTurn, itemsPerTurn]);
});

it("says of a part of a listing that more follows, and turns before it", async () => {
  const parts: readonly StoreBatch[] = [{ ...batch(1, true), more: true }, { ...batch(0), more: true }, batch(1)];
  let hasTurned = true;
  const pieces: (readonly [boolean, number, boolean])[] = [];
  for await (const piece of readInPieces(told(...parts), (read) => read)) {
    expect(hasTurned).toBe(true);
    hasTurned = false;
    setImmediate(() => void (hasTurned = true));
    pieces.push([piece.initial, piece.events.length, piece.more]);
  }
  expect(pieces).toEqual([[true, 1, true], [false, 0, true], [false, 1, false]]);
});

it("ends what it reads when nobody wants more of it", async () => {
  let hasEnded = false;
  async function* watched(): AsyncGenerator<StoreBatch> {
    try {
      yield batch(2 * itemsPerTurn);
    } finally {
      hasEnded = true;
    }
  }
  for await (const _ of readInPieces(watched(), (read) => read)) break;
  expect(hasEnded).toBe(true);
});
