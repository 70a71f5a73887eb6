/**
 * Calls `take` with each of `values`, and holds none of them while it waits for the next one. A loop's variable would: a function that
 * waits keeps what it has in hand, which of a first batch may be all that there is.
 */
export async function eachValue<T>(values: AsyncIterable<T>, take: (value: T) => void): Promise<void> {
  const iterator = values[Symbol.asyncIterator]();
  const step = ({ done, value }: IteratorResult<T, unknown>): boolean => {
    if (done !== true) take(value);
    return done !== true;
  };
  let isDone = false;
  try {
    while (step(await iterator.next()));
    isDone = true;
  } finally {
    if (!isDone) await iterator.return?.();
  }
}

/** What `map` makes of each of `values`; holds neither while nobody asks for the next one. */
export function mappedValues<I, O>(values: AsyncIterable<I>, map: (value: I) => O): AsyncGenerator<O, void, undefined> {
  return flatMappedValues(values, (value) => [map(value)]);
}

/** `values` as they are; `onEnd` hears when there are no more, or nobody reads on. */
export function valuesUntilEnd<T>(values: AsyncIterable<T>, onEnd: () => void): AsyncGenerator<T, void, undefined> {
  return flatMappedValues(values, (value) => [value], onEnd);
}

/** What `map` makes of each of `values`, any number. */
export async function* flatMappedValues<I, O>(values: AsyncIterable<I>, map: (value: I) => readonly O[], onEnd: () => void = () => undefined): AsyncGenerator<O, void, undefined> {
  const iterator = values[Symbol.asyncIterator]();
  const state = { isDone: false };
  const step = ({ done, value }: IteratorResult<I, unknown>): readonly O[] => {
    state.isDone = done === true;
    return done === true ? [] : map(value);
  };
  try {
    while (!state.isDone) yield* step(await iterator.next());
  } finally {
    try {
      if (!state.isDone) await iterator.return?.();
    } finally {
      onEnd();
    }
  }
}
