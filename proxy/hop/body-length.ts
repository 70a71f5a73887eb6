/** Of a body whose length nobody has told. */
export const unknownLength = -1;

/** How much of a body is still to come, where its head has said so. */
export class BodyLength {
  #left = unknownLength;

  /** A message has so many bytes of body, or `unknownLength`. */
  expect(bytes: number): void {
    this.#left = bytes;
  }

  /** True while bytes are missing that were told of. */
  get isShort(): boolean {
    return this.#left > 0;
  }

  /** Counts a piece; false when there is more of it than was told, or less at its `end`. */
  take(bytes: number, end: boolean): boolean {
    if (this.#left === unknownLength) return true;
    this.#left -= bytes;
    return this.#left >= 0 && !(end && this.#left > 0);
  }
}
