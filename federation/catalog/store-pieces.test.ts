import { expect, it } from "vitest";
import { itemsPerTurn } from "#federation/runtime/turns.ts";
import type { StoreBatch, StoreEvent } from "#federation/store/store.ts";
import { readInPieces, type StorePiece } from "./store-pieces.ts";

const event = (index: number): StoreEvent => ({ kind: "delete", key: `k${index}`, revision: index + 1 });
const batch = (count: number, initial = false): StoreBatch => ({ initial, events: Array.from({ length: count }, (_, index) => event(index)), revision: count });

async function* told(...batches: readonly StoreBatch[]): AsyncGenerator<StoreBatch> {
  yield* batches;
}

it("reads a batch in pieces of one turn each, of which the first says that it is the first of all", async () => {
  const pieces: StorePiece[] = [];
  let turns = 0;
  const turnsBefore: number[] = [];
  const count = (): void => {
    turns++;
    if (pieces.length < 5) setImmediate(count);
  };
  setImmediate(count);
  for await (const piece of readInPieces(told(batch(2 * itemsPerTurn + 1, true), batch(0), batch(1)), (read) => read)) {
    pieces.push(piece);
    turnsBefore.push(turns);
  }
  expect(pieces.map(({ initial, events, more }) => [initial, events.length, more])).toEqual([
    [true, itemsPerTurn, true],
    [false, itemsPerTurn, true],
    [false, 1, false],
    [false, 0, false],
    [false, 1, false],
  ]);
  expect(pieces.slice(0, 3).flatMap(({ events }) => events)).toEqual(batch(2 * itemsPerTurn + 1).events);
  expect(turnsBefore[1]).toBeGreaterThan(turnsBefore[0] ?? 0);
  expect(turnsBefore[2]).toBeGreaterThan(turnsBefore[1] ?? 0);
  expect(turnsBefore[4]).toBe(turnsBefore[2]);
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
