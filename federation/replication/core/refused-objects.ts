/** Refused objects that an acknowledgement names. */
export const refusedNamedMax = 16;

/** Longest id that it names, in characters: with the most of them an acknowledgement stays below 16 KiB. */
export const refusedIdLengthMax = 512;

/** An object that a receiver was offered and does not hold. */
export interface RefusedObject {
  readonly id: string;
  readonly reason: string;
}

/**
 * What a receiver refuses of its publisher's present offer, so that it can say so: a frame is acknowledged as a whole, and a
 * publisher must not take that for every object in it. At first, and where there is more than can be named, there may be more.
 */
export class RefusedObjects {
  readonly #reasons = new Map<string, string>();
  #mayBeMore = true;

  get named(): readonly RefusedObject[] {
    return [...this.#reasons].map(([id, reason]) => ({ id, reason }));
  }

  /** True when objects may be refused that are not named. */
  get mayBeMore(): boolean {
    return this.#mayBeMore;
  }

  /** `id` is undefined for an object that cannot even be read. */
  add(id: string | undefined, reason: string): void {
    if (id === undefined || id.length > refusedIdLengthMax || (this.#reasons.size >= refusedNamedMax && !this.#reasons.has(id))) this.#mayBeMore = true;
    else this.#reasons.set(id, reason);
  }

  /** The object was taken, or is not offered any more. */
  delete(id: string): void {
    this.#reasons.delete(id);
  }

  /** All that is offered is held, or is about to be looked at once more. */
  clear(): void {
    this.#reasons.clear();
    this.#mayBeMore = false;
  }
}
