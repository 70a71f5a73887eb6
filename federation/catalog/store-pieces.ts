import { itemsPerTurn, turn } from "#federation/runtime/turns.ts";
import type { StoreBatch } from "#federation/store/store.ts";

/** A part of a batch, in its order. */
export interface StorePiece extends Omit<StoreBatch, "more"> {
  /** Further pieces of what is told at once follow. */
  readonly more: boolean;
}

/** Of the first piece; each further one is twice as long, up to `itemsPerTurn`: code that runs for the first time is compiled, and takes many times as long. */
export const firstPieceItems = 15;

/** What `read` makes of what a store says, in pieces that are worked on within one turn of the event loop each: the first batches of a watch are all that there is. */
export async function* readInPieces<T>(batches: AsyncIterable<StoreBatch>, read: (piece: StorePiece) => T): AsyncGenerator<T, void, undefined> {
  const iterator = batches[Symbol.asyncIterator]();
  // What a variable has in hand is held while this waits for the next batch: it is in an object, or on its way.
  const hand: { batch: StoreBatch | undefined; at: number; size: number; isDone: boolean; more: boolean } = { batch: undefined, at: 0, size: firstPieceItems, isDone: false, more: false };
  const take = ({ done, value }: IteratorResult<StoreBatch, unknown>): void => {
    hand.isDone = done === true;
    hand.batch = done === true ? undefined : value;
    hand.at = 0;
  };
  /** One, or none where nothing is left. */
  const next = (): T[] => {
    if (hand.batch === undefined) return [];
    const piece = pieceAt(hand.batch, hand.at, hand.size);
    hand.at += hand.size;
    hand.size = Math.min(2 * hand.size, itemsPerTurn);
    hand.more = piece.more;
    if (hand.at >= hand.batch.events.length) hand.batch = undefined;
    return [read(piece)];
  };
  try {
    while (!hand.isDone) {
      if (hand.more) await turn();
      if (hand.batch === undefined) take(await iterator.next());
      yield* next();
    }
  } finally {
    if (!hand.isDone) await iterator.return?.();
  }
}

function pieceAt({ initial, events, revision, more }: StoreBatch, at: number, size: number): StorePiece {
  const end = at + size;
  return { initial: initial && at === 0, events: events.slice(at, end), revision, more: end < events.length || more === true };
}
