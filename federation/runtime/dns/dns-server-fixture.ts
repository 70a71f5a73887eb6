import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv4 } from "node:net";

/** What the server of a test says of a name. `silent`: nothing at all. */
export type DnsRecord = { readonly addresses: readonly string[]; readonly ttlSeconds: number } | "servfail" | "silent";

const typeA = 1;
const typeAaaa = 28;
const rcodes = { none: 0, servfail: 2, noName: 3 } as const;

/** A small DNS server (RFC 1035: UDP, one question, A and AAAA) on a port of its own. What it says may change at any time. */
export class DnsServer implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #records = new Map<string, DnsRecord>();
  readonly #questions = new Map<string, number>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, from) => {
      const answer = this.#answer(message);
      if (answer !== undefined) socket.send(answer, from.port, from.address);
    });
  }

  static async open(): Promise<DnsServer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new DnsServer(socket);
  }

  /** For `DnsLookupOptions.servers`. */
  get server(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** From now on `name` stands for this; undefined: there is no such name. */
  set(name: string, record: DnsRecord | undefined): void {
    if (record === undefined) this.#records.delete(name);
    else this.#records.set(name, record);
  }

  /** Questions for the A records of `name` that have come. */
  questionsFor(name: string): number {
    return this.#questions.get(name) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }

  #answer(message: Buffer): Buffer | undefined {
    const { name, type, end } = readQuestion(message);
    if (type === typeA) this.#questions.set(name, this.questionsFor(name) + 1);
    const record = this.#records.get(name);
    if (record === "silent") return undefined;
    const question = message.subarray(12, end);
    if (record === "servfail") return response(message, question, rcodes.servfail, []);
    if (record === undefined) return response(message, question, rcodes.noName, []);
    const wanted = record.addresses.filter((address) => isIPv4(address) === (type === typeA) && (type === typeA || type === typeAaaa));
    return response(
      message,
      question,
      rcodes.none,
      wanted.map((address) => resource(type, record.ttlSeconds, addressBytes(address))),
    );
  }
}

function readQuestion(message: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

function response(request: Buffer, question: Buffer, rcode: number, answers: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(request.readUInt16BE(0), 0);
  // A response (QR) with authority (AA) and recursion, as it was desired (RD, RA).
  header.writeUInt16BE(0x8580 | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  return Buffer.concat([header, question, ...answers]);
}

function resource(type: number, ttlSeconds: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name is the question's, by a pointer to it.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const [left = "", right = ""] = address.split("::");
  const groupsOf = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const before = groupsOf(left);
  const after = groupsOf(right);
  const groups = address.includes("::") ? [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after] : before;
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}
