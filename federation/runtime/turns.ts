/**
 * How many of what a plane holds thousands of are worked on before the event loop turns: as many as one transaction writes, so that what was
 * written together is also read together.
 */
export const itemsPerTurn = 120;

/** Resolves when timers, sockets and whoever else waits have had their turn. */
export async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Calls `act` with each of `items`, however many there are: whatever else the process has to do is done in between. */
export async function inTurns<T>(items: Iterable<T>, act: (item: T) => void): Promise<void> {
  let count = 0;
  for (const item of items) {
    if (count > 0 && count % itemsPerTurn === 0) await turn();
    act(item);
    count++;
  }
}
