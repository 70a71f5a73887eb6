import { changedKeys, OrderedMap } from "./ordered-map.ts";

/**
 * What is made of each entry of a map, followed through that map's successive states: an entry that is the same object as before is not
 * looked at again. Undefined leaves an entry out.
 */
export class DerivedMap<I, O> {
  readonly #make: (value: I, key: string) => O | undefined;
  #input: ReadonlyMap<string, I> = OrderedMap.of<I>();
  #output = OrderedMap.of<O>();

  constructor(make: (value: I, key: string) => O | undefined) {
    this.#make = make;
  }

  /** Of the last input. */
  get current(): OrderedMap<O> {
    return this.#output;
  }

  /** The output for `input`; the same map again when nothing of it changed. O(changes log n). */
  next(input: ReadonlyMap<string, I>): OrderedMap<O> {
    for (const key of changedKeys(this.#input, input)) this.#remake(input, key);
    this.#input = input;
    return this.#output;
  }

  /** The output for `input` when what else `make` looks at has changed: every entry is made anew. O(n log n). */
  anew(input: ReadonlyMap<string, I>): OrderedMap<O> {
    this.#output = OrderedMap.of<O>();
    this.#input = OrderedMap.of<I>();
    return this.next(input);
  }

  #remake(input: ReadonlyMap<string, I>, key: string): void {
    const value = input.get(key);
    const made = value === undefined ? undefined : this.#make(value, key);
    this.#output = made === undefined ? this.#output.without(key) : this.#output.with(key, made);
  }
}
