/** What counts instances: an exported service, the place of one. */
interface Counted {
  readonly endpointsReady: number;
  readonly endpointsUnknown?: number;
}

/**
 * `value` as it goes to others: instances that are not heard are among `endpointsReady`, besides being counted apart. Who is of the version
 * before knows two numbers, and would take a place away whose instances are merely not heard; the third it ignores.
 */
export function withUnheardAsReady<T extends Counted>(value: T): T {
  const { endpointsUnknown = 0 } = value;
  return endpointsUnknown === 0 ? value : { ...value, endpointsReady: value.endpointsReady + endpointsUnknown };
}

/** What `withUnheardAsReady` added up, told apart again. What is no such value comes back as it is. */
export function withUnheardApart<T>(input: T): T {
  if (typeof input !== "object" || input === null || !("endpointsUnknown" in input) || !("endpointsReady" in input)) return input;
  const { endpointsReady, endpointsUnknown } = input;
  if (typeof endpointsReady !== "number" || typeof endpointsUnknown !== "number") return input;
  return { ...input, endpointsReady: Math.max(0, endpointsReady - endpointsUnknown) };
}
