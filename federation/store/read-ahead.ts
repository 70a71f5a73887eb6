/** `values`, of which the next one is asked for while the last one is worked on: one at most is waiting. */
export async function* readAhead<T>(values: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const iterator = values[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (let read = await next; read.done !== true; read = await next) {
      next = iterator.next();
      // It is looked at when its turn comes, or never.
      next.catch(() => undefined);
      yield read.value;
    }
  } finally {
    await iterator.return?.();
  }
}
