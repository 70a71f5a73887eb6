// Differential fuzzing against llhttp: whatever our parser accepts, a real node:http server must read the same way.
// Run: node proxy/http/http1-parser.fuzz.ts [runs] [seed]
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";
import fc from "fast-check";
import { readMessages } from "./parse-whole.ts";
import { acceptedCorpus, smugglingCorpus } from "./smuggling-corpus.ts";

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  body: string;
  complete: boolean;
}

/** A node:http server that notes what it reads and refuses nothing that llhttp takes. */
export class LlhttpReader implements AsyncDisposable {
  readonly #server = createServer({ requireHostHeader: false, insecureHTTPParser: false, keepAlive: false, maxHeaderSize: 65_536 });
  #seen: Seen[] = [];

  private constructor() {
    const note = (request: IncomingMessage): Seen => {
      const seen: Seen = { method: request.method ?? "", target: request.url ?? "", fields: request.rawHeaders, body: "", complete: false };
      this.#seen.push(seen);
      request.on("data", (chunk: Buffer) => (seen.body += chunk.toString("latin1")));
      request.on("end", () => (seen.complete = true));
      request.on("error", () => undefined);
      return seen;
    };
    this.#server.on("request", (request, response) => {
      note(request);
      request.on("end", () => response.end());
    });
    this.#server.on("checkContinue", (request, response) => {
      note(request);
      request.on("end", () => response.end());
    });
    this.#server.on("checkExpectation", (request, response) => {
      note(request);
      request.on("end", () => response.end());
    });
    this.#server.on("clientError", (_error, socket) => socket.destroy());
  }

  static async open(): Promise<LlhttpReader> {
    const reader = new LlhttpReader();
    await new Promise<void>((resolve) => reader.#server.listen(0, "127.0.0.1", resolve));
    return reader;
  }

  /** What llhttp makes of `text`. */
  async read(text: string): Promise<readonly Seen[]> {
    this.#seen = [];
    const socket = connect({ host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port });
    socket.on("error", () => undefined);
    socket.resume();
    socket.end(text, "latin1");
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    return this.#seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Where the two readings differ, or undefined. Only what we accept as complete is compared. */
export async function compareReadings(reader: LlhttpReader, text: string): Promise<string | undefined> {
  const ours = readMessages("request", [Buffer.from(text, "latin1")]).messages.filter((message) => message.complete);
  if (ours.length === 0) return undefined;
  // Asked to close after a request, node:http reads no further: so much of the rest is not to be compared.
  const closing = ours.findIndex(({ fields, minorVersion }) => minorVersion === 0 || fields.some(([name, value]) => name.toLowerCase() === "connection" && /close|upgrade/i.test(value)));
  const compared = closing === -1 ? ours : ours.slice(0, closing + 1);
  const theirs = await reader.read(text);
  for (const [index, message] of compared.entries()) {
    const other = theirs[index];
    if (other === undefined) return `llhttp read ${theirs.length} requests, we ${compared.length}`;
    const fields = message.fields.flat();
    if (other.method !== message.method) return `method ${other.method} / ${message.method}`;
    if (other.target !== message.target && !other.target.toLowerCase().startsWith("http://")) return `target ${other.target} / ${message.target}`;
    if (JSON.stringify(other.fields) !== JSON.stringify(fields)) return `fields ${JSON.stringify(other.fields)} / ${JSON.stringify(fields)}`;
    if (!other.complete) return `llhttp did not read request ${index} to its end`;
    if (other.body !== message.body) return `body ${JSON.stringify(other.body)} / ${JSON.stringify(message.body)}`;
  }
  return undefined;
}

const interesting = ["\r\n", "\n", "\r", " ", "\t", "\0", ":", ";", ",", "0", "5", "ffffffff", "\r\n\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Host: a\r\n", "chunked", "\x7f", "\x80", "\xff", "\x0b", "=", '"', "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Connection: close\r\n", "HTTP/1.0"];

/** A corpus entry with a few pieces inserted, removed, replaced or doubled. */
export const mutatedRequest: fc.Arbitrary<string> = fc
  .tuple(
    // Mostly valid ones: what we refuse at once is compared with nothing.
    fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...acceptedCorpus) }, { weight: 1, arbitrary: fc.constantFrom(...smugglingCorpus.filter(({ text }) => text.length < 2000).map(({ text }) => text)) }),
    fc.array(fc.record({ at: fc.nat(), remove: fc.nat(6), piece: fc.oneof(fc.constantFrom("", ...interesting), fc.string({ maxLength: 4, unit: "binary-ascii" })) }), { maxLength: 4 }),
  )
  .map(([text, edits]) => {
    let result = text;
    for (const { at, remove, piece } of edits) {
      const place = at % (result.length + 1);
      result = result.slice(0, place) + piece + result.slice(place + remove);
    }
    return result;
  });

async function main(): Promise<void> {
  const numRuns = Number(process.argv[2] ?? 20_000);
  const seed = Number(process.argv[3] ?? Math.floor(performance.timeOrigin + performance.now()) % 0x7fff_ffff);
  process.stdout.write(`${numRuns} runs, seed ${seed}\n`);
  await using reader = await LlhttpReader.open();
  await fc.assert(
    fc.asyncProperty(mutatedRequest, async (text) => {
      const difference = await compareReadings(reader, text);
      if (difference !== undefined) throw new Error(`${difference}\n${JSON.stringify(text)}`);
    }),
    { numRuns, seed },
  );
  process.stdout.write("no difference\n");
}

if (import.meta.main) await main();
