/** What was written of one register: versions, 0 for its absence. */
interface Register {
  /** Of the last acknowledged write. */
  acknowledged: number;
  /** Of writes without an outcome since. */
  readonly maybe: Set<number>;
  readonly written: Set<number>;
}

/** What has been told to the origins of the federation, by register: `policy/k`, `export/cluster/k`, `relationship`. */
export class Truth {
  readonly #registers = new Map<string, Register>();
  #version = 0;

  get registers(): Iterable<string> {
    return this.#registers.keys();
  }

  /** A version that nobody has written before. */
  next(): number {
    return ++this.#version;
  }

  /** Before the write is made: from now on it may be seen. */
  begin(register: string, version: number): void {
    const one = this.#of(register);
    one.written.add(version);
    one.maybe.add(version);
  }

  acknowledge(register: string, version: number): void {
    const one = this.#of(register);
    one.acknowledged = version;
    one.maybe.clear();
  }

  /** A decision has made `version` what counts. */
  decided(register: string, version: number): void {
    this.acknowledge(register, version);
  }

  wasWritten(register: string, version: number): boolean {
    return version === 0 || this.#of(register).written.has(version);
  }

  /** Whether an origin that has lost nothing may hold this. */
  allows(register: string, version: number): boolean {
    const { acknowledged, maybe } = this.#of(register);
    return version === acknowledged || maybe.has(version);
  }

  acknowledged(register: string): number {
    return this.#of(register).acknowledged;
  }

  #of(register: string): Register {
    let one = this.#registers.get(register);
    if (one === undefined) this.#registers.set(register, (one = { acknowledged: 0, maybe: new Set(), written: new Set() }));
    return one;
  }
}
