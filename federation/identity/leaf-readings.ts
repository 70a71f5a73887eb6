import { readSvidLeaf, type LeafReading } from "./certificate-reader.ts";

/** More leaves than this are not met between two renewals; then all are forgotten. */
export const leafReadingsMax = 1_024;

/**
 * What `readSvidLeaf` said of the leaves that a process meets: all connections to one peer show the same one, and reading it
 * costs as much as a signature. A reading depends on nothing but the bytes; trust and time are judged by each handshake.
 */
export class LeafReadings {
  readonly #known = new Map<string, LeafReading>();

  /** As `readSvidLeaf`. */
  read(der: Buffer): LeafReading {
    const key = der.toString("latin1");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const reading = readSvidLeaf(der);
    if (this.#known.size >= leafReadingsMax) this.#known.clear();
    this.#known.set(key, reading);
    return reading;
  }
}
