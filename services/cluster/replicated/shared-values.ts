/** Values that are remembered. Of one more all are forgotten, and equal ones that come later are held once again. */
export const sharedValuesMax = 10_000;

/** One value in memory for all that are equal: the exports of a cluster name the same gateways and trust domain, and most services the same ports. */
export class SharedValues {
  readonly #byText = new Map<string, unknown>();

  /** The first value of those that are as this one, which is made of JSON's types. */
  of<T>(value: T): T {
    const text = JSON.stringify(value);
    const known = this.#byText.get(text);
    // Equal in all that it holds, and so of the same type.
    if (known !== undefined) return known as T;
    if (this.#byText.size >= sharedValuesMax) this.#byText.clear();
    this.#byText.set(text, value);
    return value;
  }
}
