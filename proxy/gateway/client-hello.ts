import { isIP } from "node:net";

/** Why a connection is not routed by its first bytes. */
export type HelloFault = "notTls" | "tooLarge" | "malformed" | "noName" | "badName";

/** What the bytes so far say. `sni` is in lower case. */
export type HelloReading = { readonly kind: "more" } | { readonly kind: "name"; readonly sni: string } | { readonly kind: "refused"; readonly fault: HelloFault };

/** A ClientHello with its record headers may not be larger; Node's own has 1.6 KB, those with every post-quantum share some 5. */
export const helloBytesMax = 16_384;

const recordHeaderBytes = 5;
const recordBytesMax = 16_384;
const more: HelloReading = { kind: "more" };

/**
 * Reads the server name out of a ClientHello that arrives in any pieces, over any number of TLS records. It keeps
 * what it was given, since all of it travels on. Each byte is looked at a bounded number of times however small the pieces are.
 * @see https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
 */
export class ClientHelloReader {
  #bytes = Buffer.allocUnsafe(2_048);
  #length = 0;
  /** Nothing new can be said before so many bytes have arrived. */
  #needed = recordHeaderBytes;
  /** Where the next record header starts. */
  #recordAt = 0;
  /** The handshake message without record headers. */
  #message: Buffer[] = [];
  #messageLength = 0;

  /** All bytes so far, in order; valid until the next `push`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  push(chunk: Buffer): HelloReading {
    this.#append(chunk);
    while (this.#length >= this.#needed) {
      const reading = this.#step();
      if (reading !== undefined) return reading;
    }
    // What came with it may be more than the hello; only an unfinished one is measured.
    return this.#needed > helloBytesMax || this.#length > helloBytesMax ? { kind: "refused", fault: "tooLarge" } : more;
  }

  /** Looks at one record; undefined when the hello is not yet complete. */
  #step(): HelloReading | undefined {
    const at = this.#recordAt;
    // Content type handshake, major version 3: anything else is not the beginning of TLS.
    if (this.#bytes[at] !== 22 || this.#bytes[at + 1] !== 3) return { kind: "refused", fault: at === 0 ? "notTls" : "malformed" };
    const recordLength = this.#bytes.readUInt16BE(at + 3);
    if (recordLength === 0 || recordLength > recordBytesMax) return { kind: "refused", fault: "malformed" };
    const end = at + recordHeaderBytes + recordLength;
    if (this.#length < end) {
      this.#needed = end;
      return undefined;
    }
    this.#message.push(this.#bytes.subarray(at + recordHeaderBytes, end));
    this.#messageLength += recordLength;
    this.#recordAt = end;
    this.#needed = end + recordHeaderBytes;
    return this.#readMessage();
  }

  #readMessage(): HelloReading | undefined {
    if (this.#messageLength < 4) return undefined;
    const message = this.#message.length === 1 ? (this.#message[0] as Buffer) : Buffer.concat(this.#message);
    if (message[0] !== 1) return { kind: "refused", fault: "malformed" };
    const length = message.readUIntBE(1, 3);
    if (length > helloBytesMax) return { kind: "refused", fault: "tooLarge" };
    // Joined once for each record, so a hello of tiny records stays linear enough: each holds at least one of at most 16 K bytes.
    this.#message = [message];
    if (message.length < 4 + length) return undefined;
    return readServerName(message.subarray(4, 4 + length));
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
  }
}

/** The server name of the body of a ClientHello. */
function readServerName(body: Buffer): HelloReading {
  const cursor = new Cursor(body);
  cursor.skip(2 + 32);
  cursor.skip(cursor.uint8());
  cursor.skip(cursor.uint16());
  cursor.skip(cursor.uint8());
  if (cursor.overrun) return { kind: "refused", fault: "malformed" };
  if (cursor.atEnd) return { kind: "refused", fault: "noName" };
  const extensions = new Cursor(cursor.slice(cursor.uint16()));
  if (cursor.overrun || !cursor.atEnd) return { kind: "refused", fault: "malformed" };
  let name: string | undefined;
  while (!extensions.atEnd) {
    const type = extensions.uint16();
    const content = extensions.slice(extensions.uint16());
    if (extensions.overrun) return { kind: "refused", fault: "malformed" };
    if (type !== 0) continue;
    const found = hostNameOf(content);
    if (found === undefined || name !== undefined) return { kind: "refused", fault: "malformed" };
    name = found;
  }
  if (name === undefined) return { kind: "refused", fault: "noName" };
  const sni = name.toLowerCase();
  return isRoutableName(sni) ? { kind: "name", sni } : { kind: "refused", fault: "badName" };
}

/** RFC 6066 §3: a list with at most one name of each type, and only one type was ever defined. */
function hostNameOf(content: Buffer): string | undefined {
  const outer = new Cursor(content);
  const list = new Cursor(outer.slice(outer.uint16()));
  const type = list.uint8();
  const name = list.slice(list.uint16());
  if (outer.overrun || list.overrun || !outer.atEnd || !list.atEnd || type !== 0 || name.length === 0) return undefined;
  return name.toString("latin1");
}

/** Dots between labels of letters, digits and inner hyphens: no trailing dot, no address, nothing a table could not hold. */
function isRoutableName(name: string): boolean {
  return name.length <= 253 && isIP(name) === 0 && /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
}

/** Reads forward and notes running past the end instead of throwing. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;
  overrun = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  uint8(): number {
    const at = this.#take(1);
    return at === -1 ? 0 : (this.#bytes[at] ?? 0);
  }

  uint16(): number {
    const at = this.#take(2);
    return at === -1 ? 0 : this.#bytes.readUInt16BE(at);
  }

  skip(length: number): void {
    this.#take(length);
  }

  slice(length: number): Buffer {
    const at = this.#take(length);
    return at === -1 ? Buffer.alloc(0) : this.#bytes.subarray(at, at + length);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) {
      this.overrun = true;
      this.#at = this.#bytes.length;
      return -1;
    }
    this.#at = at + length;
    return at;
  }
}
