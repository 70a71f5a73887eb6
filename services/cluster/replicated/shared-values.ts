/** Lists that are remembered. Of one more all are forgotten, and equal ones that come later are held once again. */
export const sharedListsMax = 10_000;

/** One list in memory for all that are equal: the exports of a cluster name the same gateways, and most services the same ports. */
export class SharedLists {
  readonly #byText = new Map<string, readonly unknown[]>();

  /** The first list of those that are as this one. */
  of<T>(list: readonly T[]): readonly T[] {
    const text = JSON.stringify(list);
    const known = this.#byText.get(text);
    // Equal in all that it holds, and so of the same type.
    if (known !== undefined) return known as readonly T[];
    if (this.#byText.size >= sharedListsMax) this.#byText.clear();
    this.#byText.set(text, list);
    return list;
  }
}
