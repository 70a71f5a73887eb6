/** Names that are made as they are taken, one after the other: a table may have a hundred thousand, and each of a thousand streams goes through it. */
export class NamesAhead {
  readonly #names: Iterator<string>;
  #next: IteratorResult<string>;

  constructor(names: Iterable<string>) {
    this.#names = names[Symbol.iterator]();
    this.#next = this.#names.next();
  }

  get isOver(): boolean {
    return this.#next.done === true;
  }

  /** The next one; undefined when all were taken. */
  take(): string | undefined {
    if (this.#next.done === true) return undefined;
    const { value } = this.#next;
    this.#next = this.#names.next();
    return value;
  }
}
