/** One look at one register at one plane; `version` is 0 for its absence. */
export interface Sight {
  readonly plane: string;
  readonly register: string;
  readonly version: number;
  /** What is offered may be withdrawn and offered again as it was. */
  readonly mayBeWithdrawn: boolean;
}

/** What each plane has shown of each register: later writes have higher versions, so that nothing older may follow, nor come back. */
export class SeenOrder {
  readonly #seen = new Map<string, { readonly at: string; readonly register: string; readonly version: number; readonly isGone: boolean }>();

  /** What is wrong about it, in words; undefined when nothing is. */
  see({ plane, register, version, mayBeWithdrawn }: Sight): string | undefined {
    const id = `${plane} ${register}`;
    const before = this.#seen.get(id) ?? { at: plane, register, version: 0, isGone: false };
    if (version === 0) {
      if (before.version > 0) this.#seen.set(id, { ...before, isGone: true });
      return undefined;
    }
    this.#seen.set(id, { ...before, version: Math.max(version, before.version), isGone: false });
    if (version < before.version) return `as ${version} after ${before.version}`;
    if (version === before.version && before.isGone && !mayBeWithdrawn) return `as ${version} again, which it had let go`;
    return undefined;
  }

  /** The store of `plane` has gone back: what it shows, and what others show of what it is the origin of, follows another order. */
  forget(plane: string, isOriginOf: (register: string) => boolean): void {
    for (const [id, { at, register }] of this.#seen) if (at === plane || isOriginOf(register)) this.#seen.delete(id);
  }
}
