import type { VirtualClock } from "#federation/runtime/virtual-clock.ts";

const turnsMax = 1_500;
/** What needs no time is done in the first turns. */
const timelessTurns = 3;
const turnMs = 50;

/** Time passes until `promise` is settled: what waits for a timer would otherwise wait for ever. @throws what it throws, and Error when it takes longer than 75 s */
export async function settled<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  const end = { isOver: false };
  const over = promise.finally(() => (end.isOver = true));
  over.catch(() => undefined);
  for (let turn = 0; !end.isOver && turn < turnsMax; turn++) await clock.advance(turn < timelessTurns ? 0 : turnMs);
  if (!end.isOver) throw new Error("something that should end did not");
  return await over;
}
