/** Refused objects that an acknowledgement names, and kinds of which it says that there are more. */
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
 * publisher must not take that for every object in it. At first, and where there is more than can be said, there may be more.
 */
export class RefusedObjects {
  readonly #reasons = new Map<string, string>();
  readonly #kinds = new Set<string>();
  #mayBeMore = true;

  get named(): readonly RefusedObject[] {
    return [...this.#reasons].map(([id, reason]) => ({ id, reason }));
  }

  /** Kinds of which objects may be refused that are not named, e.g. those of a newer version, which may be many. */
  get kinds(): readonly string[] {
    return [...this.#kinds];
  }

  /** True when objects of any kind may be refused that are not named. */
  get mayBeMore(): boolean {
    return this.#mayBeMore;
  }

  add({ id, kind }: { readonly id: string; readonly kind: string }, reason: string): void {
    if (id.length <= refusedIdLengthMax && (this.#reasons.size < refusedNamedMax || this.#reasons.has(id))) this.#reasons.set(id, reason);
    else if (kind.length <= refusedIdLengthMax && (this.#kinds.size < refusedNamedMax || this.#kinds.has(kind))) this.#kinds.add(kind);
    else this.#mayBeMore = true;
  }

  /** For one that cannot even be read. */
  addUnknown(): void {
    this.#mayBeMore = true;
  }

  /** The object was taken, or is not offered any more. */
  delete(id: string): void {
    this.#reasons.delete(id);
  }

  /** All that is offered is held, or is about to be looked at once more. */
  clear(): void {
    this.#reasons.clear();
    this.#kinds.clear();
    this.#mayBeMore = false;
  }
}

/** As reason of an object that is not offered any more and is held all the same: the receiver's brake holds it back. */
export const heldBackReason = "heldBack";

/** What an acknowledgement says of both: what is held back, and after that what is refused. */
export function acknowledgedRefusals({ named, kinds, mayBeMore }: Pick<RefusedObjects, "named" | "kinds" | "mayBeMore">, heldBack: ReadonlyMap<string, unknown>): { readonly refused: readonly RefusedObject[]; readonly refusedKinds: readonly string[]; readonly mayRefuseMore: boolean } {
  const held = [...heldBack.keys()].filter((id) => id.length <= refusedIdLengthMax).slice(0, refusedNamedMax);
  const refused = [...held.map((id) => ({ id, reason: heldBackReason })), ...named];
  return { refused: refused.slice(0, refusedNamedMax), refusedKinds: kinds, mayRefuseMore: mayBeMore || (refused.length > refusedNamedMax && named.length > 0) };
}
