import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { heartbeatMs, readEvents, sendEvents, stallMs } from "./event-stream.ts";

async function* inPieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
  const edges = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (const [index, edge] of edges.slice(1).entries()) yield bytes.subarray(edges[index], edge);
}

it("events arrive whole, however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), async (values, cuts) => {
      const plain = values.map((value) => JSON.parse(JSON.stringify(value)) as unknown);
      const text = plain.map((value) => `: comment\n\nevent: x\ndata: ${JSON.stringify(value)}\n\n`).join("");
      const read: unknown[] = [];
      for await (const value of readEvents(inPieces(new TextEncoder().encode(text), cuts))) read.push(value);
      expect(read).toEqual(plain);
    }),
  );
});

it("an event without an end is refused before it fills memory", async () => {
  const endless = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) yield new Uint8Array(1024 * 1024).fill(0x61);
  };
  await expect(readEvents(endless()).next()).rejects.toThrow(RangeError);
});

/** A stream over a real connection, on a virtual clock. */
async function openStream(clock: VirtualClock, events: AsyncIterable<{ readonly type: string }>) {
  const sent = Promise.withResolvers<void>();
  const server = createServer((_request, response) => void sendEvents(response, events, clock).then(sent.resolve, sent.reject));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const request = get({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { response, sent: sent.promise, close: () => server.close() };
}

it("a quiet stream carries a comment now and then", async () => {
  const clock = new VirtualClock();
  const stop = Promise.withResolvers<void>();
  const quiet = async function* (): AsyncGenerator<{ readonly type: string }, void, undefined> {
    await stop.promise;
    yield { type: "last" };
  };
  const { response, sent, close } = await openStream(clock, quiet());
  let text = "";
  response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await clock.advance(2 * heartbeatMs);
  stop.resolve();
  await sent;
  if (!response.readableEnded) await once(response, "end");
  close();
  expect(text).toBe(': still here\n\n: still here\n\nevent: last\ndata: {"type":"last"}\n\n');
});

it("a client that stops reading is left, and the source is asked for no more", async () => {
  const clock = new VirtualClock();
  let made = 0;
  const flood = async function* (): AsyncGenerator<{ readonly type: string; readonly filler: string }, void, undefined> {
    for (;;) yield { type: "x", filler: String(made++).padEnd(256 * 1024) };
  };
  const { response, sent, close } = await openStream(clock, flood());
  response.pause();
  response.on("error", () => undefined);
  const progress = { isOver: false };
  const over = sent.then(() => (progress.isOver = true));
  // How much the two kernels hold is theirs to say; each advance lets the stream run until it waits for them.
  for (let turn = 0; turn < 1_000 && !progress.isOver; turn++) await clock.advance(stallMs / 2);
  await over;
  close();
  expect(made).toBeGreaterThan(0);
  expect(response.complete).toBe(false);
});
